import { join } from "node:path";
import { FuseV1Options, FuseVersion, flipFuses } from "@electron/fuses";

/**
 * Switches inside the Electron binary that no setting can undo. SECURITY: each is named, and
 * packaging fails when Electron brings one that is not: electron-builder's own `electronFuses`
 * leaves out what it does not know.
 *
 * @type {import("@electron/fuses").FuseConfig}
 */
export const FUSES = {
  version: FuseVersion.V1,
  strictlyRequireAllFuses: true,
  // The app must not serve as a Node for others; the daemon has a Node of its own.
  [FuseV1Options.RunAsNode]: false,
  [FuseV1Options.EnableCookieEncryption]: true,
  [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: false,
  [FuseV1Options.EnableNodeCliInspectArguments]: false,
  // Electron checks the archive's digest before it runs it, and runs nothing else.
  [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: true,
  [FuseV1Options.OnlyLoadAppFromAsar]: true,
  [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: false,
  // The page comes by app://, so file:// needs no privileges.
  [FuseV1Options.GrantFileProtocolExtraPrivileges]: false,
  // The page runs no WebAssembly; traps are merely the quicker bounds check.
  [FuseV1Options.WasmTrapHandlers]: true,
};

/** electron-builder's hook: before signing, because it changes the binary. */
export default async function afterPack(context) {
  const { electronPlatformName, appOutDir, packager, arch } = context;
  const name = packager.appInfo.productFilename;
  const binaries = {
    darwin: () => join(appOutDir, `${name}.app`),
    mas: () => join(appOutDir, `${name}.app`),
    win32: () => join(appOutDir, `${name}.exe`),
    linux: () => join(appOutDir, packager.executableName),
  };
  await flipFuses(binaries[electronPlatformName](), {
    ...FUSES,
    // Apple silicon refuses a binary whose signature no longer fits.
    resetAdHocDarwinSignature: electronPlatformName === "darwin" && arch === ARM64,
  });
}
const ARM64 = 3;
