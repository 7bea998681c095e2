import type { AppDouble } from "./app.ts";
import type { ContextBridgeDouble, IpcMainDouble, IpcRendererDouble } from "./ipc.ts";
import type { PowerMonitorDouble, PowerSaveBlockerDouble, SystemShellDouble } from "./ipc.ts";
import type { DialogDouble } from "./dialog.ts";
import type { ScreenDouble } from "./screen.ts";
import type { SafeStorageDouble } from "./safe-storage.ts";
import type { ProtocolDouble, SessionDouble } from "./session.ts";

/** The parts of one Electron, which know of each other. */
export interface ElectronParts {
  readonly app: AppDouble;
  readonly ipcMain: IpcMainDouble;
  readonly ipcRenderer: IpcRendererDouble;
  readonly contextBridge: ContextBridgeDouble;
  readonly protocol: ProtocolDouble;
  readonly powerMonitor: PowerMonitorDouble;
  readonly powerSaveBlocker: PowerSaveBlockerDouble;
  readonly session: { readonly defaultSession: SessionDouble };
  readonly shell: SystemShellDouble;
  readonly dialog: DialogDouble;
  readonly screen: ScreenDouble;
  readonly safeStorage: SafeStorageDouble;
}

let present: ElectronParts | null = null;

export function setElectron(parts: ElectronParts): void {
  present = parts;
}

export function electron(): ElectronParts {
  if (present === null) throw new Error("there is no Electron yet: call reset() first");
  return present;
}
