// Uses the public pages in Chromium as a person does, with the keyboard alone, and looks at each of them with axe.
// Input: one JSON object on standard input. Exit code 0 when everything held; else what did not is on standard error.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { url, executable, pictures, steps } = JSON.parse(readFileSync(0, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"];
// 1280 pixels, the room that a zoom of 200 % leaves of it, and the narrowest that must do without scrolling sideways (WCAG 1.4.10).
const SIZES = [
  { name: "wide", viewport: { width: 1280, height: 900 } },
  { name: "zoomed", viewport: { width: 640, height: 450 } },
  { name: "narrow", viewport: { width: 320, height: 640 } },
];

const browser = await chromium.launch({
  executablePath: executable,
  chromiumSandbox: false,
  headless: true,
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
const complaints = [];

async function open(options = {}) {
  const context = await browser.newContext({ viewport: SIZES[0].viewport, locale: "en-GB", ...options });
  context.setDefaultTimeout(60_000);
  context.on("request", (request) => {
    if (!request.url().startsWith(`${url}/p/`)) complaints.push(`asked of another: ${request.url()}`);
    if (request.resourceType() === "script") complaints.push("a script was loaded");
  });
  context.on("weberror", (error) => complaints.push(`error: ${error.error().message}`));
  context.on("console", (message) => {
    // Chromium tells of every answer that is 404 or 422.
    const status = /status of (404|422)/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !status) complaints.push(message.text());
  });
  await context.exposeBinding("reportViolation", (_source, text) => complaints.push(`violation: ${text}`));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  return context;
}

/// Goes on with the tabulator until `selector` has the focus, which must be seen wherever it is.
async function tabTo(page, selector) {
  for (let step = 0; step < 80; step += 1) {
    await page.keyboard.press("Tab");
    const found = await page.evaluate((wanted) => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
      const trapped = element.closest("[aria-hidden]") !== null;
      return { there: element.matches(wanted), seen, trapped, name: element.outerHTML.slice(0, 120) };
    }, selector);
    if (found.name.startsWith("<body")) continue;
    assert.ok(found.seen, `the focus cannot be seen on ${found.name}`);
    assert.ok(!found.trapped, `the keyboard goes into ${found.name}`);
    if (found.there) return;
  }
  assert.fail(`${selector} cannot be reached by keyboard`);
}

async function press(page, selector) {
  await tabTo(page, selector);
  await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
}

const person = {
  async signUp(page, { email }) {
    await page.goto(`${url}/p/signup/newsletter?lang=en`);
    assert.equal(await page.locator("input:checked").count(), 0);
    await press(page, "main button");
    assert.equal(await page.getByRole("alert").count(), 1);
    assert.equal(await page.evaluate(() => document.activeElement.id), "choice-newsletter");
    await page.keyboard.press("Space");
    await tabTo(page, "#email");
    await page.keyboard.type(email);
    await tabTo(page, "#givenName");
    await page.keyboard.type("Nora <b>");
    await press(page, "main button");
    assert.equal(new URL(page.url()).pathname, "/p/signup/newsletter/sent");
  },
  async confirm(page, { token }) {
    await page.goto(`${url}/p/${token}`);
    await page.getByText("I consent to being sent a newsletter").waitFor();
    await press(page, "main button");
    assert.equal(new URL(page.url()).pathname, "/p/confirmed");
    await page.goto(`${url}/p/${token}`);
    await page.getByText("This link is not valid any more").waitFor();
  },
  async withdraw(page, { token }) {
    await page.goto(`${url}/p/${token}`);
    await press(page, 'button[aria-label="Withdraw consent: Newsletter"]');
    await page.getByText("Your withdrawal is recorded and holds at once.").waitFor();
    assert.equal(await page.locator('button[aria-label="Withdraw consent: Newsletter"]').count(), 0);
  },
  async askForLink(page, { token }) {
    await page.goto(`${url}/p/${token}`);
    await press(page, 'button[value="fresh"]');
    await page.getByRole("status").waitFor();
  },
  async askForLinkTo(page, { email }) {
    await page.goto(`${url}/p/link?lang=en`);
    await tabTo(page, "#email");
    await page.keyboard.type(email);
    await press(page, "main button");
    assert.equal(new URL(page.url()).pathname, "/p/link/sent");
  },
  async tellWho(page, { token }) {
    await page.goto(`${url}/p/${token}?lang=en`);
    assert.equal(await page.getByText("Anna").count(), 0);
    await press(page, 'button[value="open"]');
    assert.equal(await page.evaluate(() => document.activeElement.id), "answer");
    await page.keyboard.type("99999");
    await press(page, 'button[value="open"]');
    assert.equal(await page.getByRole("alert").count(), 1);
    assert.equal(await page.evaluate(() => document.activeElement.id), "answer");
    await page.keyboard.type("80 331");
    await press(page, 'button[value="open"]');
    await page.getByText("This is your own page.").waitFor();
    await page.getByText("Ben Muster").waitFor();
    assert.equal(await page.getByText("Anna").count(), 0);
  },
  async request(page, { token }) {
    await page.goto(`${url}/p/${token}?lang=en`);
    await page.getByText("Nora <b>").waitFor();
    await tabTo(page, "summary");
    await page.keyboard.press("Enter");
    await page.getByText("I consent to being sent a newsletter").first().waitFor();
    await tabTo(page, "input[name=kind]");
    await page.keyboard.press("ArrowDown");
    await tabTo(page, "#note");
    await page.keyboard.type("My name has no b in it.");
    await press(page, 'button[value="request"]');
    await page.getByText("Your request is recorded.").waitFor();
  },
};

/// A page with what was sent to it wrong, where it is a form.
async function faulty(page, button) {
  await Promise.all([page.waitForEvent("load"), page.locator(button).click()]);
}

/// Which of the ways of looking axe is run in: every pair of size, colours and language is among them.
const asked = (size, dark, english) => (size + Number(dark) + Number(english)) % 2 === 0;

async function look({ pages }) {
  for (const language of ["de", "en"]) {
    const context = await open();
    const page = await context.newPage();
    for (const { title, path, press: button } of pages) {
      const mark = path.includes("?") ? "&" : "?";
      await page.goto(`${url}/p/${path}${mark}lang=${language}`);
      if (button) await faulty(page, button);
      assert.equal(await page.locator("html").getAttribute("lang"), language, title);
      await page.evaluate(axe);
      for (const [at, { name, viewport }] of SIZES.entries()) {
        await page.setViewportSize(viewport);
        for (const colorScheme of ["light", "dark"]) {
          await page.emulateMedia({ colorScheme });
          const what = `${title}, ${language}, ${name}, ${colorScheme}`;
          const [wide, there] = await page.evaluate(() => {
            const root = document.documentElement;
            return [root.scrollWidth, root.clientWidth];
          });
          assert.ok(wide <= there, `${what}: ${wide} pixels in ${there}`);
          if (pictures) {
            await page.screenshot({ path: join(pictures, `${title}-${language}-${name}-${colorScheme}.png`), fullPage: true });
          }
          if (!asked(at, colorScheme === "dark", language === "en")) continue;
          const { violations, passes } = await page.evaluate(
            (tags) => globalThis.axe.run({ runOnly: { type: "tag", values: tags } }),
            TAGS,
          );
          const told = violations.flatMap(({ id, nodes }) =>
            nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`),
          );
          assert.deepEqual(told, [], what);
          assert.ok(passes.length > 10, what);
        }
      }
    }
    await context.close();
  }
}

try {
  for (const step of steps) {
    if (step.do === "look") {
      await look(step);
      continue;
    }
    const context = await open();
    await person[step.do](await context.newPage(), step);
    assert.deepEqual(await context.cookies(), []);
    await context.close();
  }
  assert.deepEqual(complaints, []);
} finally {
  await browser.close();
}
