import { Failure } from "../../src-protocol/failure.ts";
import { printable } from "../printable.ts";

/** Which parameters a person freezes or trains, whatever the file says: `*` and `?` as in file names. */
export interface TrainPatterns {
  readonly freeze: readonly string[];
  /** Stronger than `freeze`: `freeze: ["*"], train: ["*lora*"]`. */
  readonly train: readonly string[];
}

export class Patterns {
  readonly #freeze: readonly RegExp[];
  readonly #train: readonly RegExp[];
  readonly #unmatched: Map<RegExp, string>;

  constructor({ freeze, train }: TrainPatterns) {
    this.#freeze = freeze.map(expression);
    this.#train = train.map(expression);
    this.#unmatched = new Map([
      ...this.#freeze.map((each, i) => [each, freeze[i] ?? ""] as const),
      ...this.#train.map((each, i) => [each, train[i] ?? ""] as const),
    ]);
  }

  /** By any name that it has; null: nobody asked. */
  asked(names: readonly string[]): boolean | null {
    const [isTrained, isFrozen] = [this.#matches(this.#train, names), this.#matches(this.#freeze, names)];
    return isTrained ? true : isFrozen ? false : null;
  }

  /** @throws Failure `no-such-parameter` when a pattern met none of the model's tensors */
  mustHaveMatched(names: readonly string[]): void {
    const [pattern] = this.#unmatched.values();
    if (pattern === undefined) return;
    throw new Failure(
      "no-such-parameter",
      `"${printable(pattern)}" is the name of none of the model's stored tensors. They are called ${names
        .slice(0, 12)
        .map(printable)
        .join(", ")}${names.length > 12 ? ", …" : ""}: see them all with \`tah model inspect\`.`,
    );
  }

  #matches(expressions: readonly RegExp[], names: readonly string[]): boolean {
    const found = expressions.filter((each) => names.some((name) => each.test(name)));
    for (const each of found) this.#unmatched.delete(each);
    return found.length > 0;
  }
}

function expression(pattern: string): RegExp {
  const parts = pattern.split(/([*?]+)/).map((part, i) => {
    if (i % 2 === 0) return part.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&");
    // Many stars are one: a pattern must not take time without end.
    return part.includes("*") ? `${".".repeat(part.replaceAll("*", "").length)}.*` : ".".repeat(part.length);
  });
  return new RegExp(`^${parts.join("")}$`, "s");
}
