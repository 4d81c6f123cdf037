/** Short messages in the corner: what became of what the reader did. */

export type ToastKind = "info" | "success" | "error";

export interface Toast {
  readonly id: number;
  readonly kind: ToastKind;
  readonly text: string;
}

const MAX_TOASTS = 4;
const SHOWN_MS = { info: 4_000, success: 4_000, error: 10_000 } as const;

export class Toasts {
  list = $state.raw<readonly Toast[]>([]);
  #next = 0;

  show(kind: ToastKind, text: string): void {
    const toast = { id: this.#next++, kind, text };
    this.list = [...this.list, toast].slice(-MAX_TOASTS);
    setTimeout(() => this.dismiss(toast.id), SHOWN_MS[kind]);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}
