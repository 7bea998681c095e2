import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const OURS = {
  "after-install.tpl": "ln -sf '/opt/${sanitizedProductName}/resources/bin/tah' /usr/bin/tah",
  "after-remove.tpl":
    "if [ \"$(readlink /usr/bin/tah)\" = '/opt/${sanitizedProductName}/resources/bin/tah' ]; then rm -f /usr/bin/tah; fi",
};

/** Where the desktop's .deb has what the other one has in /usr/lib. */
const LIB = "/opt/Train at Home/resources";

/**
 * What the desktop's .deb does after its installation and its removal: electron-builder's own, and `tah` on the
 * path; and before its removal, what the package without a window does then.
 */
export function desktopDebScripts(root: string): void {
  const fromBuilder = createRequire(createRequire(join(root, "package.json")).resolve("electron-builder"));
  const templates = join(dirname(fromBuilder.resolve("app-builder-lib/package.json")), "templates", "linux");
  const folder = join(root, "dist", "linux");
  mkdirSync(folder, { recursive: true });
  for (const [name, line] of Object.entries(OURS))
    writeFileSync(
      join(folder, name),
      `${readFileSync(join(templates, name), "utf8").trimEnd()}\n\n${line}\n`,
    );
  const prerm = readFileSync(join(root, "assets", "linux", "prerm"), "utf8");
  writeFileSync(join(folder, "before-remove"), desktopPrerm(prerm));
}

/** The same, at the place of the desktop's files. An upgrade ends nothing: the app's own update has ended the daemon before. */
export function desktopPrerm(prerm: string): string {
  const moved = prerm.replace(/^LIB=.*$/m, `LIB='${LIB}'`);
  return moved.replace(/^ {2}upgrade \| failed-upgrade\)\n[^]*?;;\n/m, "");
}
