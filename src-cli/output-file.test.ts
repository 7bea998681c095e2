import { join } from "node:path";
import { expect, it } from "vitest";
import { familyFolder } from "../src-engine/families/folder.test-support.ts";
import { CAN_FILL_A_DISK, onFullDisk } from "../src-protocol/full-disk.test-support.ts";

const at = (...names: string[]): string => JSON.stringify(join(import.meta.dirname, ...names));

it.runIf(CAN_FILL_A_DISK)(
  "a trained model that a full disk has no room for is not written in part, and what was there stays",
  () => {
    const [file, folder, left, text] = onFullDisk(
      32_768,
      `import { readdirSync, readFileSync, writeFileSync } from "node:fs";
       const { writeOutput, writeOutputFolder } = await import(${at("output-file.ts")});
       const { openModelFolder } = await import(${at("folders", "model-folder.ts")});
       const { writeFolder } = await import(${at("folders", "folder-output.ts")});
       const refused = (write) => {
         try { write(); return null; } catch ({ code, message }) { return [code, message]; }
       };
       writeFileSync(disk + "/a.onnx", "of before");
       print(refused(() => writeOutput(disk + "/a.onnx", new Uint8Array(100_000))));
       const model = openModelFolder(${JSON.stringify(familyFolder("gpt2"))});
       const nothing = { names: new Set(), read: () => new Float32Array() };
       const options = { properties: {}, type: "kept" };
       print(refused(() => writeOutputFolder(disk + "/model", () => writeFolder(model, disk + "/model", nothing, options))));
       print(readdirSync(disk));
       print(readFileSync(disk + "/a.onnx", "utf8"));`,
    );
    const sentence = /^The trained model cannot be written to .*: the disk is full\. Name another/;
    expect(file).toEqual(["output-not-writable", expect.stringMatching(sentence)]);
    expect(folder).toEqual(["output-not-writable", expect.stringMatching(sentence)]);
    expect([left, text]).toEqual([["a.onnx"], "of before"]);
  },
);
