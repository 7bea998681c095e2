import { Command } from "commander";
import { expect, it } from "vitest";
import { commandTree } from "./command-tree.ts";
import { manual } from "./manual.ts";

const program = new Command("tah").description("It's a test.").version("1.2.3").helpCommand(false);
program.command("status").description("what it's doing: now").option("--json", "print JSON");
const wallet = program.command("wallet").description("keys").helpCommand(false);
wallet.command("export").description("show a [secret] phrase").option("-o, --out <file>", ".write it there");
program.command("inner", { hidden: true }).description("not for people");

it("names every command and option that the help shows, and no line of it is taken for an order", () => {
  const page = manual(commandTree(program), "1.2.3");
  for (const text of [
    "tah wallet export",
    "\\-\\-out <file>",
    "Train at Home 1.2.3",
    "show a [secret] phrase",
  ])
    expect(page).toContain(text);
  expect(page).not.toContain("not for people");
  const orders = page.split("\n").flatMap((line) => /^[.'](\w*)/.exec(line)?.[1] ?? []);
  expect(orders.filter((order) => !["TH", "SH", "B", "I", "TP", "PP", "RS", "RE"].includes(order))).toEqual(
    [],
  );
});
