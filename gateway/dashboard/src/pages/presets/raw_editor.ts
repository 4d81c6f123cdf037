/**
 * CodeMirror for a preset's text. It is mounted in a shadow root: its style sheets are constructed
 * there, where elsewhere it would write <style> elements, which the page's fence forbids. Tab is not
 * bound, so that the keyboard leaves as it came.
 */

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, nextDiagnostic, setDiagnostics } from "@codemirror/lint";
import { Annotation, Compartment, EditorState } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

export interface Mark {
  /** From 0. */
  readonly line: number;
  readonly severity: "error" | "warning";
  readonly message: string;
}

export interface RawEditor {
  setText(text: string): void;
  setReadOnly(readOnly: boolean): void;
  setMarks(marks: readonly Mark[]): void;
  goTo(line: number): void;
  destroy(): void;
}

/** A change that is ours and not the reader's. */
const fromOutside = Annotation.define<boolean>();

const language = StreamLanguage.define<{ behind: boolean }>({
  name: "preset",
  startState: () => ({ behind: false }),
  token(stream, place) {
    if (stream.sol()) place.behind = false;
    if (stream.eatSpace()) return null;
    const next = stream.peek();
    if (next === ";" || next === "#") {
      stream.skipToEnd();
      return "comment";
    }
    if (place.behind) {
      stream.match(/^[^;#]+/);
      return "string";
    }
    if (next === "[") {
      stream.match(/^[^;#]+/);
      return "heading";
    }
    if (stream.eat("=")) {
      place.behind = true;
      return "operator";
    }
    stream.match(/^[^=;#]+/);
    return "propertyName";
  },
});

const colours = HighlightStyle.define([
  { tag: tags.comment, color: "color-mix(in oklch, var(--color-base-content) 72%, var(--color-base-100))" },
  { tag: tags.heading, color: "var(--color-primary)", fontWeight: "600" },
  { tag: tags.propertyName, color: "var(--color-info)" },
  { tag: tags.string, color: "var(--color-base-content)" },
  { tag: tags.operator, color: "color-mix(in oklch, var(--color-base-content) 72%, var(--color-base-100))" },
]);

// Both themes at once: the page's variables reach into the shadow root.
const look = EditorView.theme({
  "&": { color: "var(--color-base-content)", backgroundColor: "var(--color-base-100)", fontSize: "0.875rem", maxHeight: "70vh" },
  "&.cm-focused": { outline: "2px solid var(--color-primary)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "1.6", overflow: "auto" },
  ".cm-content": { minHeight: "22rem", padding: "0.75rem 0", caretColor: "var(--color-base-content)" },
  ".cm-cursor": { borderLeftColor: "var(--color-base-content)" },
  ".cm-gutters": {
    color: "color-mix(in oklch, var(--color-base-content) 72%, var(--color-base-100))",
    // The focus ring is beneath it.
    backgroundColor: "transparent",
    border: "none",
  },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in oklch, var(--color-base-content) 5%, transparent)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    background: "color-mix(in oklch, var(--color-primary) 25%, transparent)",
  },
  ".cm-lintRange": { backgroundImage: "none", textDecorationLine: "underline", textDecorationStyle: "wavy", textUnderlineOffset: "3px" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecorationColor: "var(--color-error)" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecorationColor: "var(--color-warning)" },
  ".cm-tooltip": {
    backgroundColor: "var(--color-base-100)",
    color: "var(--color-base-content)",
    border: "1px solid var(--color-base-300)",
    borderRadius: "0.5rem",
    fontFamily: "var(--font-sans)",
  },
  ".cm-diagnostic-error": { borderLeftColor: "var(--color-error)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--color-warning)" },
});

export function mount(
  host: HTMLElement,
  label: string,
  onchange: (text: string) => void,
): RawEditor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const readOnly = new Compartment();
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      extensions: [
        lineNumbers(),
        lintGutter(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        language,
        syntaxHighlighting(colours),
        look,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
        readOnly.of([]),
        keymap.of([{ key: "F8", run: nextDiagnostic }, ...historyKeymap, ...defaultKeymap]),
        EditorView.updateListener.of((update) => {
          const ours = update.transactions.some((one) => one.annotation(fromOutside));
          if (update.docChanged && !ours) onchange(update.state.doc.toString());
        }),
      ],
    }),
  });

  return {
    setText(text) {
      const wanted = EditorState.create({ doc: text }).doc;
      if (wanted.eq(view.state.doc)) return;
      view.dispatch({
        changes: { from: 0, to: view.state.doc.length, insert: wanted },
        annotations: fromOutside.of(true),
      });
    },
    setReadOnly(on) {
      const attributes = EditorView.contentAttributes.of({ "aria-readonly": "true" });
      view.dispatch({
        effects: readOnly.reconfigure(on ? [EditorState.readOnly.of(true), attributes] : []),
      });
    },
    setMarks(marks) {
      const { doc } = view.state;
      const diagnostics = marks.map(({ line, severity, message }) => {
        const { from, to } = doc.line(Math.min(Math.max(line + 1, 1), doc.lines));
        return { from, to, severity, message };
      });
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
    goTo(line) {
      const { from } = view.state.doc.line(Math.min(line + 1, view.state.doc.lines));
      view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
      view.focus();
    },
    destroy() {
      view.destroy();
    },
  };
}
