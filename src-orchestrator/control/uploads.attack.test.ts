import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { request } from "node:http";
import type { ClientRequest } from "node:http";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { until } from "../test-support/fake-node.test-support.ts";
import type { FakeNode } from "../test-support/fake-node.test-support.ts";
import { openOrchestrator } from "../orchestrator.test-support.ts";
import { movingBody } from "./upload-body.ts";

const CONTENT = Buffer.alloc(100_000, 7);
const DIGEST = createHash("sha256").update(CONTENT).digest("hex");

/** An upload of which the last byte never comes; `status` when it is answered. */
function halfUpload(
  url: string,
  node: FakeNode,
  content: Buffer,
): { call: ClientRequest; status: number | null } {
  const digest = createHash("sha256").update(content).digest("hex");
  const upload: { call: ClientRequest; status: number | null } = {
    call: request(`${url}/v1/blobs/sha256/${digest}`, {
      method: "PUT",
      headers: {
        "content-length": content.length,
        "x-tah-session": node.signer.publicKey,
        "x-tah-signature": node.signer.sign(`blob\n${digest}\n${content.length}`),
      },
    }),
    status: null,
  };
  upload.call.on("response", (answer) => {
    upload.status = answer.statusCode ?? 0;
    answer.resume();
  });
  upload.call.on("error", () => (upload.status ??= 0));
  upload.call.write(content.subarray(0, -1));
  return upload;
}

test("F8: sixty uploads of one blob take the room of one, and none when the node has gone", async () => {
  const { orchestrator, net, folder } = await openOrchestrator({ steps: null });
  for (const number of [0, 1, 2]) net.node(orchestrator.url, number);
  await until("training", () => orchestrator.host.view().phase === "training");
  const node = net.nodes.find(({ assignment }) => assignment?.stage === 1);
  if (node === undefined) throw new Error("nobody has stage 2");
  const parts = () =>
    readdirSync(join(folder, "blobs", "sha256")).filter((name) => name.endsWith(".part")).length;
  const uploads = Array.from({ length: 60 }, () => halfUpload(orchestrator.url, node, CONTENT));
  const refused = (of: typeof uploads): number => of.filter(({ status }) => status === 429).length;
  // Its part may come after the others' refusals.
  await until("all but one are refused", () => refused(uploads) === 59 && parts() > 0);
  expect(parts()).toBe(1);
  // Others of its own are bounded too.
  const others = Array.from({ length: 20 }, (_, i) =>
    halfUpload(orchestrator.url, node, Buffer.alloc(1000, i)),
  );
  await until("two at a time", () => refused(others) === 19 && parts() > 1);
  expect(parts()).toBe(2);
  node.kill();
  await until("its uploads have ended", () => parts() === 0, 4_000);
  expect(orchestrator.host.namesCheckpoint(DIGEST)).toBe(false);
});

test("F8: a body that drips is ended, and one that moves is not, however long it takes", async () => {
  const limits = { everyMs: 60, leastBytes: 100 };
  const read = async (body: PassThrough): Promise<number> => {
    let bytes = 0;
    for await (const chunk of movingBody(body, () => true, limits)) bytes += chunk.length;
    return bytes;
  };
  const dripping = new PassThrough();
  const drip = setInterval(() => dripping.write("x"), 5);
  await expect(read(dripping)).rejects.toMatchObject({ code: "upload-stalled" });
  clearInterval(drip);
  const moving = new PassThrough();
  let sent = 0;
  const move = setInterval(() => {
    moving.write(Buffer.alloc(200));
    if (++sent === 60) moving.end();
  }, 5);
  expect(await read(moving)).toBe(12_000);
  clearInterval(move);
});
