import { readFileSync } from "node:fs";
import { audit } from "./audit.ts";
import { expect, goTo, test } from "./fixture.ts";

const PICTURES = "test-results/screenshots";
/** Of the bip39 test words; nobody is paid with it. */
const PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const PAYOUT = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";

test("a payout address is named, counts at once, and another replaces it", async ({ dashboard, daemon }) => {
  // The workers are started again with the change.
  test.setTimeout(120_000);
  await goTo(dashboard, "Wallet");
  const hotkey = (await daemon.call("state.get", {})).node.hotkey;
  await expect(dashboard.getByTestId("hotkey")).toContainText(hotkey.slice(0, 6));
  expect((await audit(dashboard)).map(({ id }) => id)).toEqual([]);
  await dashboard.screenshot({ path: `${PICTURES}/wallet.png`, fullPage: true });

  await dashboard.getByLabel("Address of a coldkey").fill(`${PAYOUT.slice(0, -1)}z`);
  await dashboard.getByRole("button", { name: "Pay there" }).click();
  await expect(dashboard.getByRole("alert")).toContainText("a letter is missing or wrong");
  await dashboard.getByLabel("Address of a coldkey").fill(PAYOUT);
  await dashboard.getByRole("button", { name: "Pay there" }).click();
  await expect(dashboard.getByTestId("payout")).toContainText(PAYOUT.slice(0, 6), { timeout: 30_000 });
  await expect
    .poll(async () => (await daemon.call("state.get", {})).earnings.payoutColdkey, { timeout: 40_000 })
    .toBe(PAYOUT);
  // It trains on after the change.
  await expect
    .poll(async () => (await daemon.call("state.get", {})).node.phase, { timeout: 40_000 })
    .toBe("training");
});

test("a key is made with its words on paper, saved under a password, and one of one's own put to work", async ({
  dashboard,
  daemon,
}) => {
  test.setTimeout(120_000);
  await goTo(dashboard, "Wallet");
  await dashboard.getByRole("button", { name: "Make a key …" }).click();
  const dialog = dashboard.getByRole("dialog");
  await dialog.getByLabel("Name of its wallet").fill("paper");
  await dialog.getByRole("button", { name: "Make it" }).click();
  const listed = dialog.getByTestId("phrase").getByRole("listitem");
  await expect(listed).toHaveCount(12);
  const words = await listed.allTextContents();
  await dialog.getByRole("button", { name: "They are on paper" }).click();
  await dialog.getByLabel("Word 3").fill("zebra");
  await dialog.getByLabel("Word 11").fill(words[10] ?? "");
  await dialog.getByRole("button", { name: "Done" }).click();
  await expect(dialog.getByRole("alert")).toContainText("another word");
  await dialog.getByLabel("Word 3").fill(words[2] ?? "");
  await dialog.getByRole("button", { name: "Done" }).click();
  await expect(dialog).toBeHidden();
  await expect(dashboard.getByRole("heading", { name: "paper" })).toBeVisible();

  await dashboard.getByRole("button", { name: "Save a copy …" }).click();
  await dialog.getByLabel("Password", { exact: true }).fill("a long password");
  await dialog.getByLabel("The same again").fill("a long password");
  const [download] = await Promise.all([
    dashboard.waitForEvent("download", { timeout: 60_000 }),
    dialog.getByRole("button", { name: "Save the file" }).click(),
  ]);
  const before = (await daemon.call("state.get", {})).node.hotkey;
  expect(JSON.parse(readFileSync(await download.path(), "utf8"))).toMatchObject({
    address: before,
    encoding: { content: ["pkcs8", "sr25519"] },
  });

  await dashboard.getByRole("button", { name: "Take a key in …" }).click();
  await dialog.getByLabel(/secret phrase/).fill(PHRASE);
  await dialog.getByRole("button", { name: "Take it in, and work with it" }).click();
  await expect(dialog).toBeHidden({ timeout: 60_000 });
  const now = (await daemon.call("state.get", {})).node.hotkey;
  expect(now).not.toBe(before);
  await expect(dashboard.getByTestId("hotkey")).toContainText(now.slice(0, 6));
  await dashboard.screenshot({ path: `${PICTURES}/wallet-own-key.png`, fullPage: true });
  await dashboard.getByRole("button", { name: "Work with default default" }).click();
  await expect
    .poll(async () => (await daemon.call("state.get", {})).node.hotkey, { timeout: 60_000 })
    .toBe(before);
});
