/** Light, dark, or as the system says. public/theme.js applies the choice before the first paint. */

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "theme";

class ThemeChoice {
  choice = $state<Theme>(stored());
  /** Grows when colours change, for what is drawn on canvas. */
  changes = $state(0);

  constructor() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changes++);
  }

  choose(theme: Theme): void {
    this.choice = theme;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    this.changes++;
    try {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // Storage is forbidden: the choice lives as long as the page.
    }
  }
}

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export const theme = new ThemeChoice();
