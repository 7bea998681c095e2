import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { decoderParameters } from "../../src-engine/families/decoder-parameters.ts";
import { familyFolder, familySpec } from "../../src-engine/families/folder.test-support.ts";
import { chunksDigest } from "../../src-protocol/chunks.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { memoryLinks } from "../links/index.ts";
import { signerA, signerB } from "../links/link-conformance.ts";
import { BlobExchange } from "./blob-exchange.ts";
import type { ChunkSource } from "./chunk-download.ts";
import { chunksOf } from "./chunk-server.test-support.ts";
import { ModelParts } from "./model-parts.ts";
import { NeighbourFirst } from "./neighbour-first.ts";

it("what one replica has loaded of a model's files, the next one takes from it and not from the orchestrator", async () => {
  const name = "llama-3";
  const files = readdirSync(familyFolder(name))
    .filter((each) => each.endsWith(".safetensors"))
    .map((each) => new Uint8Array(readFileSync(join(familyFolder(name), each))));
  const model = {
    ...familySpec(name),
    files: files.map((bytes) => ({
      sha256: sha256(bytes),
      bytes: bytes.length,
      chunksSha256: chunksDigest(chunksOf(bytes).sha256),
    })),
  };
  const names = new Set(decoderParameters(model).map((each) => each.name));
  const folder = mkdtempSync(join(tmpdir(), "tah-parts-"));
  const links = memoryLinks({ a: signerA.publicKey, b: signerB.publicKey });
  let asked = 0;
  const fileOf = (digest: string): Uint8Array =>
    files.find((bytes) => sha256(bytes) === digest) ?? new Uint8Array();
  const orchestrator: ChunkSource = {
    chunks: async (digest) => chunksOf(fileOf(digest)),
    async *range(digest, from, to) {
      asked += to - from;
      yield fileOf(digest).subarray(from, to);
    },
  };
  const replica = (at: "a" | "b"): ModelParts => {
    const exchange = new BlobExchange(async () => null);
    exchange.join(links[at]);
    const parts = new ModelParts(join(folder, at), new NeighbourFirst(orchestrator, exchange));
    exchange.offer((...ask) => parts.held(...ask));
    return parts;
  };
  try {
    const [first, second] = [replica("a"), replica("b")];
    await first.get(model, names);
    const fromOrchestrator = asked;
    expect(fromOrchestrator).toBeGreaterThan(0);
    const paths = await second.get(model, names);
    expect(asked).toBe(fromOrchestrator);
    expect(paths.map((path) => sha256(readFileSync(path)))).toEqual(model.files.map((file) => file.sha256));
    expect(await first.held(model.files[0]?.sha256 ?? "", 0, (files[0]?.length ?? 0) + 1)).toBeNull();
    expect(await first.held("0".repeat(64), 0, 1)).toBeNull();
  } finally {
    links.a.close("test over");
    rmSync(folder, { recursive: true, force: true });
  }
});
