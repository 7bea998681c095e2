import type { Browser, Page } from "@playwright/test";
import { expect, test } from "@playwright/test";
import { type DaemonProcess, startDaemon } from "./daemon-process.ts";
import { goTo } from "./fixture.ts";
import { type NetworkProcess, serveNetwork } from "./network-process.ts";

const PICTURES = "test-results/screenshots";
const NAME = "Maple Street";

/** A data folder with its daemon, and its dashboard in a browser that knows nothing else. */
interface House {
  readonly daemon: DaemonProcess;
  readonly page: Page;
}

async function moveIn(browser: Browser): Promise<House> {
  const daemon = await startDaemon("tiny", "--no-neighbours");
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(await daemon.loginUrl());
  await expect(page.getByTestId("state")).toBeVisible();
  return { daemon, page };
}

const stateOf = ({ daemon }: House) => daemon.call("state.get", {});
const firstLoss = async ({ daemon }: House) => (await daemon.call("run.history", {})).points[0]?.loss ?? 0;
const stepOf = async (house: House) => (await stateOf(house)).run?.step ?? 0;

/** Pastes the invitation, sees where it leads, and says yes. */
async function join({ page, daemon }: House, invitation: string, picture: string): Promise<void> {
  await goTo(page, "Network");
  await page.getByLabel(/^Invitation/).fill(invitation);
  await page.getByRole("button", { name: "See where it leads" }).click();
  const card = page.getByTestId("offer");
  await expect(card).toContainText("Ada");
  await expect(card).toContainText("2 slices");
  await expect(card).toContainText(/Downloads.*about \d/);
  await expect(card).toContainText(/Memory.*about \d/);
  await expect(card).toContainText(/up and as much down for each step/);
  // A look is no yes: this computer still works for itself.
  expect((await daemon.call("state.get", {})).network).toMatchObject({ kind: "embedded" });
  await page.screenshot({ path: `${PICTURES}/${picture}.png`, fullPage: true });
  await page.getByRole("button", { name: "Yes, join and work for it" }).click();
  await expect(page.getByTestId("network-name")).toHaveText(NAME);
}

test("two homes that share nothing but an invitation train one model; one leaves, and comes back", async ({
  browser,
}) => {
  test.setTimeout(150_000);
  let network: NetworkProcess | undefined;
  const houses: House[] = [];
  try {
    [network] = await Promise.all([
      serveNetwork(NAME),
      moveIn(browser).then((house) => houses.push(house)),
      moveIn(browser).then((house) => houses.push(house)),
    ]);
    const [mine, theirs] = houses as [House, House];
    const { invitation } = network;

    await goTo(mine.page, "Network");
    await mine.page.getByLabel(/^Invitation/).fill(`${invitation.slice(0, -4)}aaaa`);
    await mine.page.getByRole("button", { name: "See where it leads" }).click();
    await expect(mine.page.getByRole("alert")).toContainText(/wrong letter|Copy the whole line/);

    await Promise.all([
      join(mine, invitation, "two-homes-invited"),
      join(theirs, await network.invite(), "two-homes-invited-2"),
    ]);
    for (const house of houses) {
      await expect.poll(() => stepOf(house), { timeout: 45_000 }).toBeGreaterThan(30);
      await expect(house.page.getByTestId("network-status")).toHaveText("Connected.");
    }
    const { run } = await stateOf(mine);
    const holders = run?.stages.map(({ holder }) => holder?.mine);
    expect(holders?.toSorted()).toEqual([false, true]);
    await expect(mine.page.getByRole("region", { name: "Links" }).getByText("Round trip")).toBeVisible();
    // They are two owners: neither is told of the other's computer.
    await expect(mine.page.getByRole("region", { name: "Other computers of mine" })).toContainText(
      "None is known here.",
    );
    await picture(mine, "two-homes-links");
    for (const [index, house] of houses.entries()) {
      await goTo(house.page, "Home");
      await expect(house.page.getByTestId("state")).toHaveText("Working");
      await expect(house.page.getByText("another home")).toBeVisible();
      await expect(house.page.getByTestId("loss")).toHaveText(/^\d\.\d{3}$/);
      const shown = async (): Promise<number> => Number(await house.page.getByTestId("loss").textContent());
      expect(await shown()).toBeLessThan((await firstLoss(house)) - 0.5);
      await picture(house, `two-homes-training-${index + 1}`);
    }

    await goTo(theirs.page, "Network");
    await theirs.page.getByRole("button", { name: `Leave ${NAME}` }).click();
    await theirs.page.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
    await expect(theirs.page.getByTestId("network-name")).toHaveText("This computer");
    await expect(mine.page.getByTestId("state")).toHaveText("Waiting");
    await expect(mine.page.getByTestId("reason")).toContainText("is looking for a home");
    await picture(mine, "two-homes-alone");
    const alone = await stepOf(mine);

    // It is in already: whichever invitation it shows.
    await join(theirs, invitation, "two-homes-back");
    await expect.poll(() => stepOf(mine), { timeout: 45_000 }).toBeGreaterThan(alone + 5);
    await expect(mine.page.getByTestId("state")).toHaveText("Working");
    for (const house of houses)
      await expect
        .poll(async () => (await stateOf(house)).earnings.receipts, { timeout: 20_000 })
        .toBeGreaterThan(0);
    await picture(mine, "two-homes-together-again");
  } finally {
    await Promise.all([network?.stop(), ...houses.map(({ daemon }) => daemon.stop())]);
  }
});

async function picture({ page }: House, name: string): Promise<void> {
  await page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });
}
