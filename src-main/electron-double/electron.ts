import { AppDouble } from "./app.ts";
import {
  ContextBridgeDouble,
  IpcMainDouble,
  IpcRendererDouble,
  PowerMonitorDouble,
  PowerSaveBlockerDouble,
  SystemShellDouble,
} from "./ipc.ts";
import { DialogDouble } from "./dialog.ts";
import { ScreenDouble } from "./screen.ts";
import { setElectron, type ElectronParts } from "./parts.ts";
import { NotificationDouble } from "./notification.ts";
import { SafeStorageDouble } from "./safe-storage.ts";
import { ProtocolDouble, SessionDouble } from "./session.ts";
import { MenuDouble, TrayDouble, nativeImageDouble } from "./tray.ts";
import { BrowserWindowDouble } from "./window.ts";
import { fresh, world } from "./world.ts";

/**
 * A double of the module `electron` that behaves: what needs readiness throws without it, closing
 * can be prevented, messages are copies that arrive later, and what nobody guards is allowed. Its
 * rules come from Electron's documentation; that the real Electron keeps them is for
 * `e2e/electron.spec.ts` to show, where there is a binary.
 *
 * `vi.mock("electron", () => import("./electron-double/electron.ts"))`
 */
export let {
  app,
  ipcMain,
  ipcRenderer,
  contextBridge,
  protocol,
  powerMonitor,
  powerSaveBlocker,
  safeStorage,
  session,
  shell,
  dialog,
  screen,
} = make();
export {
  BrowserWindowDouble as BrowserWindow,
  MenuDouble as Menu,
  NotificationDouble as Notification,
  TrayDouble as Tray,
  nativeImageDouble as nativeImage,
  world,
};

/** A new Electron, not ready yet. */
export function reset(): void {
  BrowserWindowDouble.open.clear();
  TrayDouble.present.clear();
  NotificationDouble.shown.length = 0;
  NotificationDouble.supported = true;
  MenuDouble.application = null;
  Object.assign(world, fresh());
  ({
    app,
    ipcMain,
    ipcRenderer,
    contextBridge,
    protocol,
    powerMonitor,
    powerSaveBlocker,
    safeStorage,
    session,
    shell,
    dialog,
    screen,
  } = make());
}

function make(): ElectronParts {
  const parts: ElectronParts = {
    app: new AppDouble(),
    ipcMain: new IpcMainDouble(),
    ipcRenderer: new IpcRendererDouble(),
    contextBridge: new ContextBridgeDouble(),
    protocol: new ProtocolDouble(),
    powerMonitor: new PowerMonitorDouble(),
    powerSaveBlocker: new PowerSaveBlockerDouble(),
    session: { defaultSession: new SessionDouble() },
    shell: new SystemShellDouble(),
    dialog: new DialogDouble(),
    screen: new ScreenDouble(),
    safeStorage: new SafeStorageDouble(),
  };
  setElectron(parts);
  return parts;
}
