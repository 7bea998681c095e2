import { useSyncExternalStore } from "react";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "train-at-home.theme";
const listeners = new Set<() => void>();

/** A window may forbid storage; the theme then lasts as long as the page. */
let current: Theme = stored();

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, () => current);
}

/** What is really seen: canvases have to be drawn again when it changes. */
export function useAppearance(): "light" | "dark" {
  return useSyncExternalStore(subscribe, () =>
    current === "system" ? (prefersLight()?.matches === true ? "light" : "dark") : current,
  );
}

export function setTheme(theme: Theme): void {
  current = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // See above.
  }
  applyTheme();
  for (const listener of listeners) listener();
}

export function applyTheme(): void {
  if (current === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = current;
}

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === value) ?? "system";
  } catch {
    return "system";
  }
}

function subscribe(listener: () => void): () => void {
  const media = prefersLight();
  media?.addEventListener("change", listener);
  listeners.add(listener);
  return () => {
    media?.removeEventListener("change", listener);
    listeners.delete(listener);
  };
}

function prefersLight(): MediaQueryList | undefined {
  return typeof matchMedia === "undefined" ? undefined : matchMedia("(prefers-color-scheme: light)");
}
