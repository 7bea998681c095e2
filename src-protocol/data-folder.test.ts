import { expect, it } from "vitest";
import { dataFolder } from "./data-folder.ts";

it.each([
  ["linux", {}, "/home/ada/.local/share/train-at-home"],
  ["linux", { XDG_DATA_HOME: "/data" }, "/data/train-at-home"],
  ["darwin", {}, "/home/ada/Library/Application Support/Train at Home"],
  ["win32", { LOCALAPPDATA: "C:\\local" }, "C:\\local\\Train at Home"],
  ["linux", { TAH_HOME: "/mine" }, "/mine"],
  ["linux", { TAH_HOME: "" }, "/home/ada/.local/share/train-at-home"],
])("the data folder on %s with %o is %s", (platform, env, path) => {
  expect(dataFolder(env, platform, "/home/ada")).toBe(path);
});
