// Opens /graphiql in Chromium as a person does, and watches everything the page does meanwhile.
// Input: one JSON object on standard input. Exit code 0 when everything held; else what did not is on standard error.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { url, executable, tokens, pictures } = JSON.parse(readFileSync(0, "utf8"));
// A machine may be slow; nothing waits longer than it must.
const PATIENCE = 60_000;

const profile = mkdtempSync(join(tmpdir(), "zweck-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: executable,
  chromiumSandbox: false,
  headless: true,
  viewport: { width: 1280, height: 800 },
  colorScheme: "light",
  args: [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    // Should anything be asked of another host, it is not found; and it is recorded below.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  ],
});
context.setDefaultTimeout(PATIENCE);

const requests = [];
const complaints = [];
let refusalsExpected = 0;
context.on("request", (request) => requests.push(request));
context.on("weberror", (error) => complaints.push(`error: ${error.error().message}`));
context.on("console", (message) => {
  if (message.type() === "error" || message.type() === "warning") {
    // Chromium tells of every answer that is 401.
    const refusal = message.text().includes("401") && message.location().url === `${url}/graphql`;
    if (refusal && refusalsExpected > 0) refusalsExpected -= 1;
    else complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
  }
});
await context.exposeBinding("reportViolation", (_source, text) => complaints.push(`violation: ${text}`));
await context.addInitScript(() => {
  addEventListener("securitypolicyviolation", (event) =>
    globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI}`),
  );
});

try {
  try {
    await check(context.pages()[0] ?? (await context.newPage()));
  } finally {
    await context.close();
  }
  // What a browser keeps, it keeps in its profile: the tokens are in none of its files.
  for (const entry of readdirSync(profile, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const content = readFileSync(join(entry.parentPath, entry.name));
    for (const token of Object.values(tokens)) {
      const held = content.includes(token) || content.includes(Buffer.from(token, "utf16le"));
      assert.ok(!held, `${entry.name} holds a token`);
    }
  }
} finally {
  rmSync(profile, { recursive: true, force: true });
}

async function check(page) {
  const token = page.getByLabel("Access token");
  const purpose = page.getByLabel("Purpose", { exact: true });
  const leftOut = page.getByLabel("Left out of the last answer");
  const run = page.getByRole("button", { name: "Execute query" });
  const picture = (name) => page.screenshot({ path: join(pictures, `graphiql-${name}.png`) });
  const enter = async (text) => {
    await token.fill(text);
    await token.press("Enter");
  };
  const write = async (name, query, kind = "query") => {
    await page.locator(".graphiql-query-editor .view-lines").click();
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.insertText(`${kind} ${name} ${query}`);
    // GraphiQL reads the text a moment later, as the title of the tab shows; only then it runs this operation.
    await page.getByRole("tab", { name, exact: false }).first().waitFor();
  };
  // What the lower editor says; Monaco itself shows only the lines in sight.
  const answer = () =>
    page.evaluate(() => {
      const models = globalThis.__MONACO?.editor.getModels() ?? [];
      return models.find((model) => model.uri.path.endsWith("response.json"))?.getValue() ?? "";
    });
  const answered = async (...texts) => {
    const wanted = async () => {
      const text = await answer();
      return texts.every((part) => text.includes(part));
    };
    await until(wanted, async () => `an answer with ${texts.join(", ")}; it is ${(await answer()).slice(0, 500)}`);
  };
  // What is underlined, and the lines that tell why.
  const marks = () =>
    page.evaluate(() => globalThis.__MONACO.editor.getModelMarkers({ owner: "graphql" }).map(({ message }) => message.replace(/ Did you mean .*\?/, "")));
  const marked = async (...wanted) => {
    const same = async () => JSON.stringify((await marks()).sort()) === JSON.stringify(wanted.sort());
    await until(same, async () => `${wanted.join("; ")}; there is ${(await marks()).join("; ")}`);
  };
  const tabs = () => page.getByRole("tab").allInnerTexts();
  const opened = async (...wanted) => {
    await until(async () => (await tabs()).join() === wanted.join(), async () => `tabs ${wanted}; there are ${await tabs()}`);
  };
  // GraphiQL reads the text of another tab a moment later; until then it runs the operation of the one before, which is none.
  const runTab = async (name, text) => {
    await page.getByRole("tab", { name }).click();
    const ran = async () => {
      await run.click();
      await until(async () => (await answer()) !== "", () => `an answer to ${name}`);
      return (await answer()).includes(text);
    };
    await until(ran, async () => `an answer with ${text}; it is ${(await answer()).slice(0, 500)}`);
  };
  const introspections = () =>
    requests.filter((request) => request.method() === "POST" && request.postData()?.includes("__schema")).length;

  // Without a token: the page is there, asks nothing of the API, and says what to do.
  await page.goto(`${url}/graphiql`);
  await page.locator(".monaco-editor .view-line").first().waitFor();
  await page.getByText("Enter an access token.", { exact: false }).first().waitFor();
  assert.ok(await purpose.isDisabled());
  await run.click();
  await answered("Enter an access token above first");
  assert.ok(!(await answer()).includes("stack"), "errors have no stack");
  assert.equal(posts().length, 0, "nothing is asked without a token");
  await opened("Contacts", "Rights", "Purposes");
  assert.equal(await page.locator(".bar").getByRole("link", { name: "Licences" }).count(), 1);
  assert.equal(await page.getByRole("link", { name: "Licences" }).count(), 1, "the answer has no link beside it");
  await picture("1-no-token");

  // A token that is not accepted is said to be none, and nothing else is asked with it.
  refusalsExpected = 1;
  await enter("zwk_nonsense");
  await page.getByRole("alert").filter({ hasText: "not accepted" }).waitFor();
  assert.equal(await token.getAttribute("aria-invalid"), "true");
  assert.equal(posts().length, 1);
  await picture("2-refused");

  // One purpose: it is chosen, the schema is fetched for it, and what was left out is explained.
  await enter(tokens.support);
  await page.getByText("Acting as support.").waitFor();
  assert.equal(await purpose.inputValue(), "customer_care");
  await until(() => introspections() === 1, () => "the schema for support");
  await run.click();
  await answered("customer_care", "FORBIDDEN_FIELD", "givenName");
  await leftOut.getByText("Contact.notes").waitFor();
  assert.match(await leftOut.innerText(), /Not permitted.*Contact\.notes[^]*Masked.*Contact\.birthDate/);
  await page.getByText("Legal basis (Art. 6(1)): Contract", { exact: false }).waitFor();
  // Support reads no consents, so none are proposed.
  await opened("Contacts", "Rights", "Purposes");

  // What is underlined as unknown though the server knows it has a second line, to be read by whoever points at it.
  await marked('Cannot query field "notes" on type "Contact".\nNot readable as support for customer_care.');
  await page.locator(".graphiql-query-editor .view-line span").getByText("notes", { exact: true }).last().hover();
  await page.locator(".monaco-hover").getByText("Not readable as support for customer_care.").waitFor();
  await picture("3-support");
  await page.mouse.move(0, 0);

  // What is asked leaves nothing out: the line goes. The answer to a query of one's own is shown.
  await write("Mine", "{ viewer { roles purpose { code } } }");
  await run.click();
  await answered('"support"', '"customer_care"');
  assert.equal((await leftOut.innerText()).trim(), "");

  // Denied is not unknown, in arguments and mutations neither; nothing runs, and no text leaves the page, to find out.
  await write("Asked", '{ contacts(filter: { restrictedAt: { gt: "Lovelace" } }) { nodes { notes, wrong, a: wrong } } }');
  await marked(
    'Field "restrictedAt" is not defined by type "ContactFilter".\nNot permitted as support for customer_care.',
    'Cannot query field "notes" on type "Contact".\nNot readable as support for customer_care.',
    'Cannot query field "wrong" on type "Contact".',
    'Cannot query field "wrong" on type "Contact".',
  );
  await write("Revoked", '{ revokeAccessToken(input: { accessTokenId: "Lovelace" }) { token { id } } }', "mutation");
  await marked('Cannot query field "revokeAccessToken" on type "Mutation".\nNot permitted as support for customer_care.');
  for (const body of posts().map((request) => request.postDataJSON())) {
    assert.ok(!body.query.includes("Lovelace"), "a text has left the page");
    assert.ok(!["Asked", "Revoked"].includes(body.operationName), `${body.operationName} was run`);
  }
  await write("Mine", "{ viewer { roles purpose { code } } }");
  await marked();

  // Several purposes: one must be chosen; another one gives another answer, and the old one is gone meanwhile.
  await enter(tokens.marketing);
  await page.getByText("Choose the purpose that you act for.").waitFor();
  const codes = await purpose.locator("option").evaluateAll((options) => options.map((option) => option.value));
  assert.ok(codes.includes("newsletter") && codes.includes("consent_management"), codes.join());
  assert.equal(await answer(), "", "an answer to somebody else stays");
  await purpose.selectOption("newsletter");
  await page.getByText("Acting as marketing.").waitFor();
  await until(() => introspections() === 2, () => "the schema for marketing");
  await opened("Mine", "Consents", "Rights", "Purposes");
  await run.click();
  await answered('"marketing"', '"newsletter"');
  await purpose.selectOption("consent_management");
  await until(() => introspections() === 3, () => "the schema for another purpose");
  assert.equal(await answer(), "", "an answer for another purpose stays");
  await run.click();
  await answered('"marketing"', '"consent_management"');

  // A consent that covers another channel: the value is withheld and counted.
  await purpose.selectOption("event_invitations");
  await write("Points", "{ contacts(first: 200) { nodes { email phone } } }");
  await run.click();
  await leftOut.getByText("Withheld").waitFor();
  assert.match(await leftOut.innerText(), /consent for the channel is missing: Contact\.(email|phone) \(\d+ values?\)/);
  await picture("4-marketing");

  // By keyboard alone: from the token to the button to the purpose.
  await token.focus();
  await page.keyboard.press("Tab");
  for (const name of ["Apply", "Forget token"]) {
    assert.equal(await page.evaluate(() => document.activeElement.textContent), name);
    await page.keyboard.press("Tab");
  }
  assert.ok(await purpose.evaluate((element) => element === document.activeElement));

  // The editor follows the system, as all around it does.
  const colours = (dark) => () =>
    page.evaluate((dark) => document.querySelector(".monaco-editor")?.classList.contains("vs-dark") === dark, dark);
  for (const dark of [true, false]) {
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    await until(colours(dark), () => `the editor turns ${dark ? "dark" : "light"}`);
  }

  // On a small screen nothing overflows, and query and answer have the whole width, one below the other.
  const size = page.viewportSize();
  for (const width of [380, 360]) {
    await page.setViewportSize({ width, height: 740 });
    // Monaco takes its new width a moment later.
    const all = () => page.evaluate(() => document.documentElement.scrollWidth);
    await until(async () => (await all()) <= width, async () => `a page of ${width} px; it has ${await all()}`);
    const parts = [".bar input", ".bar select", ".bar a", ".graphiql-query-editor", ".graphiql-toolbar", ".graphiql-response"];
    for (const part of [...(await page.locator(".bar button").all()), ...parts.map((name) => page.locator(name).first())]) {
      const box = await part.boundingBox();
      assert.ok(box.x >= 4 && box.x + box.width <= width - 4, `${part} is cut off at ${width} px: ${box.x} ${box.width}`);
    }
    const [query, response] = await Promise.all(
      [".graphiql-query-editor .monaco-editor", ".graphiql-response"].map((name) => page.locator(name).first().boundingBox()),
    );
    assert.ok(query.width >= 300 && query.height >= 150, `the query has ${query.width} x ${query.height} at ${width} px`);
    assert.ok(response.width >= 300 && response.y >= query.y + query.height, `the answer is not below at ${width} px`);
  }
  await write("Small", "{ viewer { roles } }");
  await run.click();
  await answered('"marketing"');
  await picture("6-small");
  await page.getByRole("button", { name: "Open settings dialog" }).click();
  const theme = await page.getByRole("button", { name: "Dark" }).boundingBox();
  const dialog = await page.getByRole("dialog").boundingBox();
  assert.ok(theme.x + theme.width <= dialog.x + dialog.width, "the settings are cut off");
  await page.keyboard.press("Escape");
  await page.setViewportSize(size);
  await write("Points", "{ contacts(first: 200) { nodes { email phone } } }");

  // The other parts of GraphiQL work under the policy too: settings, documentation, history, formatting.
  await page.getByRole("button", { name: "Open settings dialog" }).click();
  await page.getByRole("button", { name: "Dark" }).click();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Show History" }).click();
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await page.getByRole("link", { name: "Contact", exact: true }).waitFor();
  await page.getByRole("button", { name: "Prettify", exact: false }).click();
  const formatted = () =>
    page.evaluate(() => globalThis.__MONACO.editor.getModels().some((model) => /^query Points \{\n/.test(model.getValue())));
  await until(formatted, () => "the query formatted");
  await picture("5-dark");

  // Samples are of what the caller may do. Everybody sees the name and the end of the own token.
  await enter(tokens.privacy_desk);
  await opened("Points", "Requests", "Consents", "Rights", "Purposes");
  await runTab("Requests", '"dueAt"');
  await enter(tokens.auditor);
  await opened("Points", "Audit", "Rights", "Purposes");
  await page.getByText(/Token: demo auditor, expires \d/).waitFor();
  assert.equal(await page.getByRole("tab", { selected: true }).innerText(), "Points");
  await enter(tokens.admin);
  await opened("Points", "Tokens", "Rights", "Purposes");
  await page.getByText(/Acting as admin\. Token: demo admin, expires \d/).waitFor();

  // A token that is forgotten is gone, and what was answered to it.
  await runTab("Tokens", "demo admin");
  const before = posts().length;
  await page.getByRole("button", { name: "Forget token" }).click();
  await page.getByText("Enter an access token.", { exact: false }).first().waitFor();
  assert.deepEqual([await token.inputValue(), await answer(), await purpose.isDisabled()], ["", "", true]);
  await run.click();
  await answered("Enter an access token above first");
  assert.equal(posts().length, before, "nothing is asked with a token that was forgotten");

  // Kept nowhere: not in the stores of the browser, the address, its history, or the markup.
  const kept = await page.evaluate(async () => ({
    local: { ...localStorage },
    session: { ...sessionStorage },
    databases: await indexedDB.databases(),
    caches: await caches.keys(),
    cookies: document.cookie,
    state: history.state,
    name: globalThis.name,
  }));
  const nothing = { local: {}, session: {}, databases: [], caches: [], cookies: "", state: null, name: "" };
  assert.deepEqual(kept, nothing, "the page keeps nothing");
  assert.equal(page.url(), `${url}/graphiql`);
  const markup = await page.content();
  for (const request of requests) assert.ok(request.url().startsWith(`${url}/`) || request.url().startsWith("data:"), request.url());
  for (const [role, secret] of Object.entries(tokens)) {
    assert.ok(!markup.includes(secret), `the markup holds the token of ${role}`);
    for (const request of requests) {
      assert.ok(!request.url().includes(secret) && !request.postData()?.includes(secret), `${request.url()} carries a token`);
    }
  }
  // Workers came as files: the editor would do without them, slowly, and tell of it only here.
  for (const worker of ["graphql.worker", "json.worker", "editor.worker"]) {
    assert.ok(requests.some((request) => request.url().includes(`/assets/${worker}`)), `${worker} was not loaded`);
  }
  assert.deepEqual(complaints, [], "the browser complains");
  assert.equal(refusalsExpected, 0);

  // A page that is loaded anew knows nobody.
  await page.reload();
  await page.getByText("Enter an access token.", { exact: false }).first().waitFor();
  assert.equal(await token.inputValue(), "");
}

function posts() {
  return requests.filter((request) => request.method() === "POST");
}

/** Waits for a condition that no event tells of. */
async function until(condition, what) {
  const end = Date.now() + PATIENCE;
  while (!(await condition())) {
    if (Date.now() > end) assert.fail(`did not come: ${await what()}`);
    await new Promise((go) => setTimeout(go, 25));
  }
}
