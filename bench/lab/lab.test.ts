import { afterEach, expect, it } from "vitest";
import { LabMeeting } from "./lab-meeting.ts";
import { labTools } from "./lab-tools.ts";

const filter = labTools();
const why = typeof filter === "string" ? null : filter.missing;
if (why !== null) process.stderr.write(`The lab of two homes was skipped: ${why}.\n`);

let meeting: LabMeeting | null = null;
afterEach(async () => {
  await meeting?.close();
  meeting = null;
});

it.skipIf(why !== null)(
  "two homes, each behind its own router, get a link that needs no relay, and tensors pass",
  { timeout: 60_000 },
  async () => {
    if (typeof filter !== "string") return;
    meeting = await LabMeeting.open(filter);
    await meeting.add("one", { nat: "port-restricted" });
    await meeting.add("other", { nat: "port-restricted" });
    const met = await meeting.meet("one", "other");
    expect(met).toMatchObject({ kind: "punched", transport: "hyperdht" });
    expect(await meeting.node("one").ping(3)).toHaveLength(3);
  },
);
