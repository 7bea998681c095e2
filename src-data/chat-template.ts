import { Template } from "@huggingface/jinja";
import { Failure } from "../src-protocol/failure.ts";
import type { Message } from "./record-text.ts";

/** Messages of a conversation into the text that the model was made for. */
export interface ChatTemplate {
  /** For a person. */
  readonly name: string;
  render(messages: readonly Message[]): string;
}

/** Where no template says how: the role before each message. */
export const PLAIN_CHAT: ChatTemplate = {
  name: 'no chat template: "role: content"',
  render: (messages) => messages.map(({ role, content }) => `${role}: ${content}`).join("\n\n"),
};

/**
 * A tokenizer's own template, in Jinja, as transformers' `apply_chat_template` renders it.
 *
 * @throws Failure `bad-chat-template` here, or when a conversation does not fit it
 */
export function chatTemplate(
  source: string,
  file: string,
  tokens: Readonly<Record<string, string>>,
): ChatTemplate {
  const template = guarded(file, () => new Template(source));
  return {
    name: `the chat template of ${file}`,
    render: (messages) =>
      guarded(file, () => template.render({ ...tokens, messages, add_generation_prompt: false })),
  };
}

function guarded<Result>(file: string, how: () => Result): Result {
  try {
    return how();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.slice(0, 300) : String(cause);
    throw new Failure(
      "bad-chat-template",
      `The chat template of ${file} refuses: ${why}. Correct the data or the template, or take the template away.`,
      { cause },
    );
  }
}
