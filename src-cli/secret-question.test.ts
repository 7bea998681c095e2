import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { newPassword, secretAtTerminal, type SecretTerminal } from "./secret-question.ts";

/** A terminal: what is typed goes in, what it shows comes out, and it says whether it would echo by itself. */
function terminal() {
  const input = new PassThrough();
  const output = new PassThrough();
  let shown = "";
  let isRaw = false;
  output.on("data", (bytes: Buffer) => (shown += bytes.toString()));
  const setRawMode = (raw: boolean): void => void (isRaw = raw);
  const ask = secretAtTerminal({
    input: Object.assign(input, { isTTY: true, setRawMode }),
    output: Object.assign(output, { isTTY: true, columns: 80 }),
  } as unknown as SecretTerminal);
  if (ask === null) throw new Error("it is a terminal");
  return { ask, type: (text: string) => input.write(text), shown: () => shown, echoes: () => !isRaw };
}

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test("a new password is asked twice, and nothing of it is shown", async () => {
  const { ask, type, shown, echoes } = terminal();
  const given = newPassword(ask);
  type("corr");
  await soon();
  type("ect horse\r");
  await soon();
  expect(echoes()).toBe(false);
  type("correct horse\r");
  expect(await given).toBe("correct horse");
  expect(shown()).toBe("New password: \nThe same again: \n");
  await soon();
  expect(echoes()).toBe(true);
});

test("both lines pasted at once answer both questions", async () => {
  const { ask, type, shown } = terminal();
  const given = newPassword(ask);
  type("correct horse\rcorrect horse\r");
  expect(await given).toBe("correct horse");
  expect(shown()).toBe("New password: \nThe same again: \n");
});

test("a later question of the same command is asked anew, and what was typed ahead answers it", async () => {
  const { ask, type } = terminal();
  const first = ask("Its password: ");
  type("one\rtwo\r");
  expect(await first).toBe("one");
  await soon();
  expect(await ask("New password: ")).toBe("two");
  const third = ask("The same again: ");
  await soon();
  type("three\r");
  expect(await third).toBe("three");
});

test("two that differ are refused", async () => {
  const { ask, type } = terminal();
  const given = newPassword(ask);
  type("one\rtwo\r");
  await expect(given).rejects.toMatchObject({ code: "passwords-differ" });
});

test.each([
  ["Ctrl-C", "\x03"],
  ["Ctrl-D", "\x04"],
])("%s ends the question, and the terminal shows again what is typed", async (_, key) => {
  const { ask, type, echoes } = terminal();
  const given = ask("Its password: ");
  type(key);
  await expect(given).rejects.toMatchObject({ code: "interrupted" });
  expect(echoes()).toBe(true);
});
