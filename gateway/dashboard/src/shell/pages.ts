/** Every page: its name, icon, keys and module, which is loaded when it is first opened. */

import Boxes from "@lucide/svelte/icons/boxes";
import ChartLine from "@lucide/svelte/icons/chart-line";
import LayoutDashboard from "@lucide/svelte/icons/layout-dashboard";
import MessagesSquare from "@lucide/svelte/icons/messages-square";
import ScrollText from "@lucide/svelte/icons/scroll-text";
import Settings from "@lucide/svelte/icons/settings";
import SlidersHorizontal from "@lucide/svelte/icons/sliders-horizontal";
import type { Component } from "svelte";

import type { PageName } from "../lib/route";

export interface Page {
  readonly name: PageName;
  readonly title: string;
  readonly icon: typeof Boxes;
  /** `g` and then this goes there. */
  readonly key: string;
  load(): Promise<{ default: Component }>;
}

export const PAGES: readonly Page[] = [
  {
    name: "overview",
    title: "Overview",
    icon: LayoutDashboard,
    key: "o",
    load: () => import("../pages/overview/Overview.svelte"),
  },
  {
    name: "models",
    title: "Models",
    icon: Boxes,
    key: "m",
    load: () => import("../pages/models/Models.svelte"),
  },
  {
    name: "playground",
    title: "Playground",
    icon: MessagesSquare,
    key: "p",
    load: () => import("../pages/playground/Playground.svelte"),
  },
  {
    name: "requests",
    title: "Requests",
    icon: ChartLine,
    key: "r",
    load: () => import("../pages/requests/Requests.svelte"),
  },
  {
    name: "presets",
    title: "Presets",
    icon: SlidersHorizontal,
    key: "e",
    load: () => import("../pages/presets/Presets.svelte"),
  },
  {
    name: "logs",
    title: "Logs",
    icon: ScrollText,
    key: "l",
    load: () => import("../pages/logs/Logs.svelte"),
  },
  {
    name: "settings",
    title: "Settings",
    icon: Settings,
    key: "s",
    load: () => import("../pages/settings/Settings.svelte"),
  },
];
