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
  const write = async (name, query) => {
    await page.locator(".graphiql-query-editor .view-lines").click();
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.insertText(`query ${name} ${query}`);
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
  await picture("3-support");

  // What is asked leaves nothing out: the line goes. The answer to a query of one's own is shown.
  await write("Mine", "{ viewer { roles purpose { code } } }");
  await run.click();
  await answered('"support"', '"customer_care"');
  assert.equal((await leftOut.innerText()).trim(), "");

  // Several purposes: one must be chosen; another one gives another answer, and the old one is gone meanwhile.
  await enter(tokens.marketing);
  await page.getByText("Choose the purpose that you act for.").waitFor();
  const codes = await purpose.locator("option").evaluateAll((options) => options.map((option) => option.value));
  assert.ok(codes.includes("newsletter") && codes.includes("consent_management"), codes.join());
  assert.equal(await answer(), "", "an answer to somebody else stays");
  await purpose.selectOption("newsletter");
  await page.getByText("Acting as marketing.").waitFor();
  await until(() => introspections() === 2, () => "the schema for marketing");
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
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Apply");
  await page.keyboard.press("Tab");
  assert.ok(await purpose.evaluate((element) => element === document.activeElement));

  // The editor follows the system, as all around it does.
  const colours = (dark) => () =>
    page.evaluate((dark) => document.querySelector(".monaco-editor")?.classList.contains("vs-dark") === dark, dark);
  for (const dark of [true, false]) {
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    await until(colours(dark), () => `the editor turns ${dark ? "dark" : "light"}`);
  }

  // On a small screen nothing of the bar is cut off.
  const size = page.viewportSize();
  await page.setViewportSize({ width: 360, height: 740 });
  for (const part of ["input", "select", "button"]) {
    const { x, width } = await page.locator(`.bar ${part}`).first().boundingBox();
    assert.ok(x >= 0 && x + width <= 360, `${part} is cut off at 360 px: ${x} ${width}`);
  }
  await picture("6-small");
  await page.setViewportSize(size);

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
