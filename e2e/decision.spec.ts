import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { OperatorClient } from "../src-cli/operator-client.ts";
import { storeRow } from "../src-orchestrator/stores/run-store.ts";
import { Store } from "../src-orchestrator/stores/store.ts";
import { audit } from "./audit.ts";
import { startDaemon } from "./daemon-process.ts";
import { goTo } from "./fixture.ts";
import { serveNetwork } from "./network-process.ts";

const PICTURES = "test-results/screenshots";
const NAME = "Maple Street";
const LOST = 40;

/** A network that has trained so far, on computers that are not there any more. */
async function serveOneThatLost(home: string) {
  const first = await serveNetwork(NAME, { home, stages: 1 });
  const { run } = await OperatorClient.of(home).status();
  await first.stop();
  const store = Store.open(join(home, "network"), (error) => {
    throw error;
  });
  const point = { step: LOST, at: Date.now(), loss: 2, heldOutLoss: null, tokensPerSecond: null };
  storeRow(store, run.runId, { kind: "point", point });
  store.close();
  return await serveNetwork(NAME, { home, stages: 1 });
}

test("who serves a network from this computer is asked in the dashboard before work is given up, and answers there", async ({
  page,
}) => {
  const daemon = await startDaemon("tiny", "--no-neighbours");
  const network = await serveOneThatLost(join(daemon.home, "served"));
  try {
    await daemon.call("network.join", { invitation: network.invitation, consent: true });
    await page.goto(await daemon.loginUrl());
    const card = page.getByRole("region", { name: `${NAME} waits for your decision` });
    await expect(card.getByTestId("asked")).toContainText(`all ${LOST} steps are lost`);
    await expect(page.getByTestId("state")).toHaveText("Waiting");
    await expect(page.getByTestId("reason")).toContainText(
      `For your decision. Without the computers that are away, ${LOST} steps`,
    );
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      expect(await audit(page, "main")).toEqual([]);
      await page.screenshot({ path: `${PICTURES}/decision-${colorScheme}.png` });
    }

    await card.getByRole("button", { name: "Begin again without them" }).click();
    const dialog = page.getByRole("dialog", { name: `Give up ${LOST} steps?` });
    await expect(dialog).toContainText("begins again from the start");
    await page.screenshot({ path: `${PICTURES}/decision-asked-twice.png` });
    await dialog.getByRole("button", { name: "Keep waiting" }).click();
    await expect(dialog).toBeHidden();
    expect((await daemon.call("state.get", {})).asked).toMatchObject({ resumeStep: 0, lostSteps: LOST });

    await goTo(page, "Network");
    await card.getByRole("button", { name: "Begin again without them" }).click();
    await dialog.getByRole("button", { name: "Begin again" }).click();
    await expect(card).toBeHidden();
    await expect(page.getByTestId("state")).toHaveText("Working");
    const again = daemon.call("network.goBack", { resumeStep: 0, lostSteps: LOST });
    await expect(again).rejects.toThrow("nothing-asked");
  } finally {
    await network.stop();
    await daemon.stop();
  }
});
