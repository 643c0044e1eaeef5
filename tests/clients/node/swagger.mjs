// Swagger UI in Chromium: node swagger.mjs SERVER USER PASSWORD SCREENSHOT
import { chromium } from "playwright-core";

const [server, username, password, screenshot] = process.argv.slice(2);

async function step(name, run) {
  try {
    const wrong = await run();
    if (wrong === undefined || wrong === true) console.log(`ok ${name}`);
    else console.log(`FAILED ${name}: ${JSON.stringify(wrong)}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message}`);
  }
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // Root, as which CI may run, cannot have the sandbox.
  args: process.getuid() === 0 ? ["--no-sandbox"] : [],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
page.setDefaultTimeout(30_000);

// What the page asks for elsewhere, what its policy forbids, what fails in it.
const elsewhere = [];
const complaints = [];
page.on("request", (request) => {
  const url = new URL(request.url());
  if (url.protocol !== "data:" && url.origin !== server) elsewhere.push(request.url());
});
page.on("console", (message) => {
  // The one refused request below is meant.
  if (message.type() === "error" && !message.text().includes("401")) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(String(error)));

async function execute(tag, operation, body) {
  const block = page.locator(`#operations-${tag}-${operation}`);
  if (!(await block.getAttribute("class")).includes("is-open")) {
    await block.locator(".opblock-summary-control").click();
  }
  if (body !== undefined) await block.locator("textarea.body-param__text").fill(body);
  const answered = page.waitForResponse((response) => response.url().includes("/api/v1/"));
  await block.locator("button.execute").click();
  const response = await answered;
  const shown = block.locator(".live-responses-table");
  // The row of the answer before is replaced by that of this one.
  const status = shown.locator(".response-col_status", { hasText: String(response.status()) });
  await status.first().waitFor();
  await shown.locator(".response-col_description").first().waitFor();
  return { status: response.status(), text: await shown.innerText() };
}

await step("opens", async () => {
  const response = await page.goto(`${server}/api/docs`);
  await page.locator(".opblock").first().waitFor();
  const policy = response.headers()["content-security-policy"];
  return policy.includes("script-src 'self'") || policy;
});
await step("shows operations", async () => {
  const count = await page.locator(".opblock").count();
  return count > 40 || count;
});
await step("asks before logging in", async () => {
  const { status, text } = await execute("accounts", "show_me");
  return (status === 401 && text.includes('"code": "unauthorized"')) || text;
});
await step("logs in", async () => {
  const body = JSON.stringify({ login: username, password });
  const { status, text } = await execute("log-ins", "log_in", body);
  return (status === 200 && text.includes('"token_type": "Bearer"')) || text;
});
await step("shows the account, by the cookie", async () => {
  const { status, text } = await execute("accounts", "show_me");
  return (status === 200 && text.includes(`"username": "${username}"`)) || text;
});
await step("takes a password", async () => {
  await page.locator("button.authorize").first().click();
  const form = page.locator(".auth-container", { hasText: "basic" });
  await form.locator("input[type=text]").fill(username);
  await form.locator("input[type=password]").fill(password);
  await form.locator("button[type=submit]").click();
  await page.locator("button.btn-done").first().click();
});
await step("shows the session, by the password", async () => {
  const { status, text } = await execute("log-ins", "show_session");
  return (status === 200 && text.includes('"login_id": null')) || text;
});
await step("asks nobody else", async () => elsewhere.length === 0 || elsewhere);
await step("complains of nothing", async () => complaints.length === 0 || complaints);
await page.locator("#operations-accounts-show_me").scrollIntoViewIfNeeded();
await page.screenshot({ path: screenshot });
await browser.close();
