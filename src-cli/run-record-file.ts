import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { NETWORK_FOLDER_NAME } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { RUN_RECORD_FILE, RUN_RECORD_LIMIT_BYTES, parseRecord } from "../src-protocol/run-record.ts";
import type { ReadRecord } from "../src-protocol/run-record.ts";

/** Where the record of a trained model lies: `model.trained.onnx` has `model.trained.record.jsonl`. */
export function recordBeside(model: string): string {
  return `${model.replace(/\.onnx$/i, "")}.${RUN_RECORD_FILE}`;
}

/** Null when there is none. */
export function readRecordText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

export interface RecordOnDisk extends ReadRecord {
  readonly path: string;
  /** Which has the run's text, model and checkpoints too, when it is a network's. */
  readonly folder: string;
}

/**
 * The record that a file or folder names: itself, that of a trained model, of a network, or of a data
 * folder.
 *
 * @throws Failure `record-not-found`, `record-unreadable`
 */
export function openRecord(file: string): RecordOnDisk {
  const given = resolve(file);
  const candidates = /\.onnx$/i.test(given)
    ? [recordBeside(given)]
    : [
        given,
        join(given, RUN_RECORD_FILE),
        join(given, NETWORK_FOLDER_NAME, RUN_RECORD_FILE),
        // Of a folder of Hugging Face that was written back.
        recordBeside(given),
      ];
  const path = candidates.find((each) => statSync(each, { throwIfNoEntry: false })?.isFile());
  if (path === undefined) {
    throw new Failure(
      "record-not-found",
      `There is no record of a training at ${candidates.join(" or ")}. Name a model that "tah model train" has written, its .${RUN_RECORD_FILE}, or the data folder of a network.`.slice(
        0,
        2000,
      ),
    );
  }
  if (statSync(path).size > RUN_RECORD_LIMIT_BYTES)
    throw new Failure("record-unreadable", `${path} is too large to be the record of a training.`);
  return { path, folder: dirname(path), ...parseRecord(readFileSync(path, "utf8")) };
}
