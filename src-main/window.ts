import type { BrowserWindow, BrowserWindowConstructorOptions, Rectangle } from "electron";
import { PAGE } from "./origin.ts";
import type { Place } from "./window-place.ts";

/** The one window's options. A test holds every line of `webPreferences`. */
export function windowOptions(
  preload: string,
  icon: string,
  place: Place | null,
): BrowserWindowConstructorOptions {
  return {
    title: "Train at Home",
    ...(place === null ? { width: 1180, height: 820 } : boundsOf(place)),
    minWidth: 720,
    minHeight: 520,
    icon,
    // Shown when the page has painted: no white flash at night.
    show: false,
    backgroundColor: "#0d1117",
    autoHideMenuBar: true,
    webPreferences: {
      preload,
      // SECURITY: the page is an ordinary web page without Node, in Chromium's sandbox.
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      webviewTag: false,
      // The spell checker would fetch dictionaries from a server that is not ours.
      spellcheck: false,
      // A file that is dropped on the window must not replace the dashboard.
      navigateOnDragDrop: false,
    },
  };
}

function boundsOf({ x, y, width, height }: Place): Rectangle {
  return { x, y, width, height };
}

/** Shows the window, wherever it was. */
export function bringForward(window: BrowserWindow): void {
  if (window.isMinimized()) window.restore();
  window.show();
  window.focus();
}

/** Loads the dashboard and shows it; a page that dies is loaded again, work goes on meanwhile. */
export function openDashboard(window: BrowserWindow): void {
  window.once("ready-to-show", () => window.show());
  window.webContents.on("render-process-gone", (_event, details) => {
    if (details.reason !== "clean-exit" && !window.isDestroyed()) void load(window);
  });
  void load(window);
}

async function load(window: BrowserWindow): Promise<void> {
  try {
    await window.loadURL(PAGE);
  } catch {
    // The bundle is missing or the window was closed meanwhile: an empty window still says "closed".
  }
}
