import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Failure } from "../src-protocol/failure.ts";
import { isModelFolder } from "./folders/model-folder.ts";

export interface OutputOptions {
  readonly model: string;
  /** null: beside the model, `NAME.trained.onnx`, or for a folder `NAME.trained`. */
  readonly out: string | null;
  /** Whether a file that is there already may be replaced. */
  readonly force: boolean;
}

/**
 * Where the trained model goes to: known to be possible before hours are spent on it. `isOwn`: whether a
 * file that is there is what this training itself has written before.
 *
 * @throws Failure `output-exists`, `output-not-writable`
 */
export function outputFile({ model, out, force }: OutputOptions, isOwn: (path: string) => boolean): string {
  const isFolder = isModelFolder(model);
  const source = resolve(model);
  const ending = isFolder ? ".trained" : ".trained.onnx";
  const path = resolve(out ?? join(dirname(source), `${basename(source).replace(/\.onnx$/i, "")}${ending}`));
  const existing = statSync(path, { throwIfNoEntry: false });
  if (isFolder && (path === source || (existing !== undefined && !isModelFolder(path))))
    throw new Failure(
      "output-exists",
      `${path} is ${path === source ? "the model itself" : "a file"}. Name another folder with --out, for example model.trained.`,
    );
  if (existing?.isDirectory() && !isFolder)
    throw new Failure(
      "output-exists",
      `${path} is a folder. Name a file with --out, for example model.trained.onnx.`,
    );
  if (existing !== undefined && !force && !isOwn(path))
    throw new Failure(
      "output-exists",
      `${path} is there already, and it is not replaced unasked. Name another with --out, or add --force.`,
    );
  const probe = beside(path);
  try {
    closeSync(openSync(probe, "w", 0o644));
  } catch (error) {
    throw notWritable(path, error);
  } finally {
    rmSync(probe, { force: true });
  }
  return path;
}

/**
 * Appears whole or not at all.
 *
 * @throws Failure `output-not-writable`
 */
export function writeOutput(path: string, bytes: Uint8Array): void {
  const temporary = beside(path);
  try {
    const descriptor = openSync(temporary, "w", 0o644);
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw notWritable(path, error);
  }
}

function beside(path: string): string {
  return join(dirname(path), `.${basename(path)}.writing-${process.pid}`);
}

/** @throws Failure `output-not-writable` */
export function writeOutputFolder(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw error instanceof Failure ? error : notWritable(path, error);
  }
}

function notWritable(path: string, cause: unknown): Failure {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
  const why =
    code === "ENOENT"
      ? "there is no such folder"
      : code === "EACCES" || code === "EPERM"
        ? "you have no permission"
        : code === "ENOSPC"
          ? "the disk is full"
          : code;
  return new Failure(
    "output-not-writable",
    `The trained model cannot be written to ${path}: ${why}. Name another file with --out.`,
    { cause },
  );
}
