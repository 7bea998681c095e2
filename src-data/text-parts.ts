import type { TextPart } from "./tokenizer.ts";

/** A document is divided into parts of about so many characters. */
const PART = 65_536;
/** A line longer than this is divided at a space, or anywhere. */
const LONGEST_LINE = 1024 * 1024;

/**
 * Divides a document where no tokenizer joins what is on both sides: after a line end that stands
 * alone between two letters. (In a run of spaces and line ends, GPT-2's and others look further.)
 */
export class TextParts {
  #rest = "";
  #continues = false;

  *add(text: string): Generator<TextPart> {
    this.#rest += text;
    while (this.#rest.length > PART) {
      const at = cutIn(this.#rest);
      if (at === null) return;
      yield this.#part(this.#rest.slice(0, at));
      this.#rest = this.#rest.slice(at);
    }
  }

  *end(): Generator<TextPart> {
    if (this.#rest !== "") yield this.#part(this.#rest);
    this.#rest = "";
    this.#continues = false;
  }

  #part(text: string): TextPart {
    const continues = this.#continues;
    this.#continues = true;
    return { text, continues };
  }
}

/** null: more of the text must be seen first. */
function cutIn(text: string): number | null {
  // The first place after the usual length, so that more text does not move it.
  LINE.lastIndex = PART - 1;
  const line = LINE.exec(text);
  if (line !== null && line.index < LONGEST_LINE) return line.index + 2;
  if (text.length <= LONGEST_LINE) return null;
  const space = text.lastIndexOf(" ", LONGEST_LINE);
  if (space > PART) return space;
  const isPair = /[\uD800-\uDBFF]/.test(text.charAt(LONGEST_LINE - 1));
  return isPair ? LONGEST_LINE - 1 : LONGEST_LINE;
}

const LINE = /\S\n(?=\S)/g;
