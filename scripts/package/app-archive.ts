import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** What goes into the app's archive: the shell as two files, the dashboard, its pictures. As `files` in electron-builder.yml. */
export const APP_FILES = [
  "package.json",
  "dist/main/main.js",
  "dist/main/preload.cjs",
  "dist/renderer/**/*",
  "assets/tray/*.png",
  "assets/icons/256x256.png",
] as const;

/** What of it is never taken along. */
export const APP_LEFT_OUT = ["!**/*.map", "!**/.*"] as const;

export interface ArchivedFile {
  readonly path: string;
  readonly bytes: number;
}

export function archivedFiles(root: string): ArchivedFile[] {
  return APP_FILES.flatMap((pattern) => globSync(pattern, { cwd: root }))
    .map((path) => path.split("\\").join("/"))
    .filter((path) => !/\.map$|(^|\/)\.[^/]*$/.test(path) && statSync(join(root, path)).isFile())
    .sort()
    .map((path) => ({ path, bytes: statSync(join(root, path)).size }));
}

/** What is missing or must not be there, a sentence each. */
export function archiveProblems(root: string, files: readonly ArchivedFile[]): string[] {
  const have = new Set(files.map(({ path }) => path));
  const needed = [
    "dist/main/main.js",
    "dist/main/preload.cjs",
    "dist/renderer/index.html",
    "assets/icons/256x256.png",
  ];
  const page = join(root, "dist", "renderer", "index.html");
  const asked = existsSync(page)
    ? [...readFileSync(page, "utf8").matchAll(/(?:src|href)="\.?\/?([^"#?:]+)"/g)]
    : [];
  return [
    ...needed.filter((path) => !have.has(path)).map((path) => `${path} is missing: run npm run build.`),
    ...asked
      .map(([, path]) => `dist/renderer/${path ?? ""}`)
      .filter((path) => !have.has(path))
      .map((path) => `The dashboard's page asks for ${path}, which does not ship.`),
    ...files
      .filter(({ path }) => !/\.(js|cjs|css|html|json|png|svg|woff2|ico)$/.test(path))
      .map(({ path }) => `${path} is nothing that an app ships.`),
  ];
}
