import { expect, goTo, test } from "./fixture.ts";

test("the page asks nobody but its own daemon, and breaks none of its own rules", async ({
  daemon,
  page,
}) => {
  const origin = new URL(daemon.url).host;
  const foreign: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => {
    if (new URL(request.url()).host !== origin) foreign.push(request.url());
  });
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== origin) foreign.push(socket.url());
  });
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));

  await page.goto(await daemon.loginUrl());
  await expect(page.getByTestId("state")).toBeVisible();
  for (const screen of ["Schedule", "Earnings", "Home"] as const) await goTo(page, screen);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("menuitem", { name: "For another time" }).click();
  await expect(page.getByRole("dialog")).toBeVisible();

  expect(foreign).toEqual([]);
  // Violations of the Content Security Policy are errors on the console.
  expect(complaints).toEqual([]);
});

test("the policy allows no inline code, no eval and no other origin", async ({ dashboard, daemon }) => {
  const answer = await dashboard.request.get(daemon.url);
  const policy = answer.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/unsafe-inline|unsafe-eval|\*|https:/);
  const ran = await dashboard.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "window.inlineRan = true";
    document.head.append(script);
    return "inlineRan" in window;
  });
  expect(ran).toBe(false);
});

test("a login address works once; a browser that it signed in stays so; others see nothing", async ({
  daemon,
  browser,
}) => {
  const address = await daemon.loginUrl();
  const [first, second] = [await browser.newContext(), await browser.newContext()];
  try {
    const [own, other] = [await first.newPage(), await second.newPage()];
    await own.goto(address);
    await expect(own.getByTestId("state")).toBeVisible();
    expect(own.url()).not.toContain("login");
    await other.goto(address);
    await expect(other.getByTestId("signed-out")).toBeVisible();
    await expect(other.getByTestId("state")).toHaveCount(0);
    const tab = await first.newPage();
    await tab.goto(daemon.url);
    await expect(tab.getByTestId("state")).toBeVisible();
    // What other programs on this computer could be sent: nothing.
    expect(await first.cookies()).toEqual([]);
    const stored = await own.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    expect(stored).not.toMatch(/[0-9a-f]{32}/);
  } finally {
    await first.close();
    await second.close();
  }
});

test("signed in, nothing outside the bundle can be read", async ({ dashboard, daemon }) => {
  for (const path of ["/..%2f..%2fpackage.json", "/assets/..%2f..%2f..%2fpackage.json"]) {
    const answer = await dashboard.request.get(`${daemon.url}${path}`);
    expect(answer.status(), path).toBe(404);
  }
});
