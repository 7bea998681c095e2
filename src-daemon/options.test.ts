import { describe, expect, it } from "vitest";
import { HELP, parseOptions } from "./options.ts";

describe("options", () => {
  it("have defaults that show a newcomer a network at work", () => {
    expect(parseOptions([])).toMatchObject({
      data: null,
      port: null,
      neighbours: 2,
      steps: null,
      chain: null,
      named: null,
      model: "default",
      runFile: null,
      probe: true,
    });
  });

  it("are read", () => {
    const words = ["--data", "texts", "--port=4711", "--no-neighbours", "--steps", "60", "--home", "/h"];
    expect(parseOptions(words)).toMatchObject({
      data: `${process.cwd()}/texts`,
      port: 4711,
      neighbours: 0,
      steps: 60,
      home: "/h",
    });
    expect(parseOptions(["--wallet", "mine"])).toMatchObject({ named: { wallet: "mine", hotkey: null } });
    expect(parseOptions(["--help"])).toBeNull();
  });

  it.each([
    [["--dta", "x"], "There is no option --dta. --help lists all options."],
    [["-x"], "There is no option -x. --help lists all options."],
    [["texts"], '"texts" is not an option. --help lists all options.'],
    [["--data"], "The option --data needs a value. --help lists all options."],
    [["--data", "--steps", "3"], "The option --data needs a value. --help lists all options."],
    [["--help=yes"], "The option --help takes no value. --help lists all options."],
    [["--port", "70000"], '--port needs a whole number from 0 to 65535, not "70000".'],
    [["--steps", "0"], '--steps needs a whole number from 1 to 1000000000, not "0".'],
    [["--steps", "1e3"], '--steps needs a whole number from 1 to 1000000000, not "1e3".'],
    [["--neighbours=-1"], '--neighbours needs a whole number from 0 to 16, not "-1".'],
    [
      ["--neighbours", "1", "--no-neighbours"],
      "--neighbours and --no-neighbours contradict each other. Give one of them.",
    ],
    [["--chain", "http://x"], "It has to start with ws:// or wss://"],
    [["--run", "r.json", "--steps", "3"], "--run and --steps contradict each other. Give one of them."],
    [["--data", ""], "--data needs the name of a folder."],
  ])("that are wrong get one sentence: %j", (words, sentence) => {
    expect(() => parseOptions(words)).toThrow(sentence);
  });

  it("are all explained", () => {
    for (const option of [
      "--data",
      "--steps",
      "--neighbours",
      "--port",
      "--home",
      "--chain",
      "--wallet",
      "--hotkey",
      "--help",
    ])
      expect(HELP).toContain(option);
  });
});
