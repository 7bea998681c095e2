import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { failureBody } from "../../src-protocol/failure.ts";
import { parseRecord } from "../../src-protocol/run-record.ts";
import { verifyRequest } from "../../src-protocol/verify.ts";
import type { VerifyMessage, VerifyOutcome, VerifyRequest } from "../../src-protocol/verify.ts";
import { FileCorpus } from "../corpus/corpus-reader.ts";
import { OfflineRun } from "./offline-run.ts";
import { verify } from "./verify.ts";

/** A child of `tah run verify`, spoken to over Node's IPC channel (verify.ts of the protocol). */
async function repeat(request: VerifyRequest): Promise<VerifyOutcome> {
  const record = parseRecord(await readFile(request.record, "utf8"));
  const { checkpoint, corpusFile, modelFiles } = request;
  const [onnxFile] = record.run.model.kind === "onnx" ? modelFiles : [];
  const corpus = new FileCorpus(corpusFile);
  const run = await OfflineRun.open({
    spec: record.run,
    corpus,
    file: onnxFile === undefined ? null : await readFile(onnxFile),
    files: record.run.model.kind === "decoder" ? modelFiles : [],
    // The stages work side by side.
    threads: Math.max(1, Math.floor(availableParallelism() / record.run.stages)),
    from: checkpoint === null ? null : { step: checkpoint.step, checkpoints: checkpoint.files },
  });
  try {
    return await verify(run, record, request, ({ step, loss, isCompared }) =>
      tell({ type: "repeated", step, loss: Number.isFinite(loss) ? loss : null, isCompared }),
    );
  } finally {
    await run.close();
    corpus.close();
  }
}

function tell(message: VerifyMessage, then: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, undefined, undefined, then);
}

if (process.send === undefined) {
  process.stderr.write("This is started by `tah run verify` and not by hand.\n");
  process.exit(1);
}
// The terminal's Ctrl-C is its parent's to answer, and the end of the parent ends this process.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.once("message", (message) => {
  const leave = (): void => process.disconnect();
  void Promise.resolve(message)
    .then((words) => repeat(verifyRequest.parse(words)))
    .then(
      (outcome) => tell({ type: "done", outcome }, leave),
      (error: unknown) => tell({ type: "failed", ...failureBody(error) }, leave),
    );
});
