import { closeSync, fstatSync, openSync, readSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, freemem, release, totalmem, uptime } from "node:os";
import { join } from "node:path";
import { API_FILE_NAME } from "../src-protocol/data-folder.ts";
import { Failure, failureBody } from "../src-protocol/failure.ts";
import { ApiClient } from "./api-client.ts";
import { doctor, doctorText } from "./doctor.ts";
import { type Personal, personal, redacted } from "./redact.ts";

const LOG_BYTES = 64 * 1024;

export interface ReportPart {
  readonly name: string;
  readonly text: string;
}

/** A report for somebody who helps: readable, and without secrets, addresses or names. Nothing is sent by anybody. */
export async function diagnostics(
  home: string,
  version: string,
  who: Personal = personal(),
): Promise<ReportPart[]> {
  const parts: ReportPart[] = [
    { name: "Train at Home", text: `${version}, ${new Date().toISOString()}` },
    { name: "Computer", text: computer() },
    { name: "Doctor", text: doctorText(await doctor(home)) },
    { name: "State", text: await state(home) },
    { name: "Log", text: tail(join(home, "daemon.log")) },
  ];
  return parts.map(({ name, text }) => ({ name, text: redacted(text.trim(), who) }));
}

export function reportText(parts: readonly ReportPart[]): string {
  return parts.map(({ name, text }) => `## ${name}\n${text}`).join("\n\n");
}

function computer(): string {
  const [{ model } = { model: "unknown" }] = cpus();
  return [
    `${process.platform} ${release()} ${process.arch}, Node ${process.versions.node}`,
    `${model}, ${availableParallelism()} cores`,
    `${gigabytes(totalmem())} of memory, ${gigabytes(freemem())} free; running for ${Math.round(uptime() / 3600)} h`,
  ].join("\n");
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Without the activity, which names what people do, and without what was earned. */
async function state(home: string): Promise<string> {
  try {
    const client = await ApiClient.connect(join(home, API_FILE_NAME));
    try {
      const {
        activity: _activity,
        earnings: _earnings,
        network,
        ...rest
      } = await client.call("state.get", {});
      const { known: _known, offer: _offer, name: _name, operator: _operator, ...shown } = network;
      return JSON.stringify({ ...rest, network: shown }, null, 2);
    } finally {
      client.close();
    }
  } catch (error) {
    return failureBody(error).message;
  }
}

/** The last lines; a log of gigabytes is not read into memory. */
export function tail(path: string, bytes = LOG_BYTES): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return "There is none.";
  }
  try {
    const { size } = fstatSync(file);
    const length = Math.min(size, bytes);
    const buffer = Buffer.alloc(length);
    readSync(file, buffer, 0, length, size - length);
    const text = buffer.toString("utf8");
    return size > length ? text.slice(text.indexOf("\n") + 1) : text;
  } finally {
    closeSync(file);
  }
}

export function saveReport(path: string, report: string): void {
  try {
    writeFileSync(path, report, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new Failure(
      "report-not-saved",
      code === "EEXIST"
        ? `${path} is there already and was left as it is. Name another file.`
        : `${path} could not be written (${code}). Nothing was saved.`,
    );
  }
}
