import { Failure } from "../../src-protocol/failure.ts";
import { printable } from "../printable.ts";

/** The fields of a config.json, read by name and kind; what nobody asked for is known at the end. */
export class ConfigFields {
  readonly #record: Readonly<Record<string, unknown>>;
  /** What stands before the names in messages. */
  readonly #path: string;
  readonly #asked = new Set<string>();

  constructor(record: Readonly<Record<string, unknown>>, path = "") {
    this.#record = record;
    this.#path = path;
  }

  /** Whether it is there, and not null. */
  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  whole(name: string, usual?: number): number {
    return this.#read(
      name,
      usual,
      "a whole number above 0",
      (value) => Number.isSafeInteger(value) && Number(value) > 0,
    );
  }

  number(name: string, usual?: number): number {
    return this.#read(name, usual, "a number above 0", (value) => typeof value === "number" && value > 0);
  }

  /** null where it is not there, or null. */
  maybeNumber(name: string, usual: number | null = null): number | null {
    if (Object.hasOwn(this.#record, name) && this.#record[name] === null) usual = null;
    return this.has(name) || usual !== null ? this.number(name, usual ?? undefined) : null;
  }

  /** A share from 0 on; whatever else it is, it is none. */
  maybeDropout(name: string): number {
    const value = this.#value(name);
    return typeof value === "number" ? value : 0;
  }

  flag(name: string, usual: boolean): boolean {
    return this.#read(name, usual, "true or false", (value) => typeof value === "boolean");
  }

  text(name: string, usual?: string): string {
    return this.#read(name, usual, "a text", (value) => typeof value === "string");
  }

  numbers(name: string): number[] {
    return this.#read<number[]>(
      name,
      undefined,
      "a list of numbers above 0",
      (value) => Array.isArray(value) && value.every((each) => typeof each === "number" && each > 0),
    );
  }

  texts(name: string): string[] {
    return this.#read<string[]>(
      name,
      undefined,
      "a list of texts",
      (value) => Array.isArray(value) && value.every((each) => typeof each === "string"),
    );
  }

  /** null where it is not there. */
  group(name: string): ConfigFields | null {
    const value = this.#value(name);
    if (value === undefined) return null;
    if (typeof value === "object" && !Array.isArray(value))
      return new ConfigFields(value as Record<string, unknown>, `${this.#path}${name}.`);
    throw this.refused(name, "which should be a group of settings");
  }

  /** @throws Failure unless it is absent, null, or one of these */
  mustBe(name: string, ...allowed: readonly (string | number | boolean)[]): void {
    const value = this.#value(name);
    if (value === undefined || allowed.includes(value as string)) return;
    throw this.refused(name, "which is not trained here");
  }

  /** Says so of a field that cannot be used. */
  refused(name: string, why: string): Failure {
    const shown = JSON.stringify(this.#record[name]) ?? "nothing";
    const value = shown.length > 100 ? `${shown.slice(0, 100)}…` : shown;
    return new Failure(
      "unsupported-config",
      `config.json says "${this.#path}${name}": ${printable(value)}, ${why}.`,
    );
  }

  /** Fields that are set to something and that nobody asked for. */
  unasked(): string[] {
    return Object.keys(this.#record).filter(
      (name) => !this.#asked.has(name) && this.#record[name] !== null && this.#record[name] !== false,
    );
  }

  #value(name: string): NonNullable<unknown> | undefined {
    this.#asked.add(name);
    return (Object.hasOwn(this.#record, name) ? this.#record[name] : null) ?? undefined;
  }

  #read<T>(name: string, usual: T | undefined, what: string, fits: (value: unknown) => boolean): T {
    const value = this.#value(name) ?? usual;
    if (value === undefined)
      throw new Failure(
        "unsupported-config",
        `config.json does not say "${this.#path}${name}", which should be ${what}.`,
      );
    if (fits(value)) return value as T;
    throw this.refused(name, `which should be ${what}`);
  }
}
