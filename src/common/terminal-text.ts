/** Text of strangers, made safe for a terminal. */

/**
 * Characters that control a terminal or reorder its text: C0 except tab and line feed, DEL, C1 (which acts like ESC),
 * bidirectional controls, and separators that some programs treat as line ends.
 */
export const CONTROLS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

function escapeOf(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? hex(code) : `\\u${code.toString(16).padStart(4, '0')}`;
}

export function hex(code: number): string {
  return `\\x${code.toString(16).padStart(2, '0')}`;
}

/** Makes text safe for a terminal: shows controls as `\xNN` or `\uNNNN`, except line feeds and tabs. */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, escapeOf);
}

/** Like {@link escapeControls}, but turns line ends into spaces, so that quoted text can't look like another line. */
export function onOneLine(text: string): string {
  const [first = '', ...others] = text.split(/[\r\n]+/);
  if (others.length === 0) return escapeControls(first);
  const parts = [first.trimEnd(), ...others.map((part) => part.trim())];
  return escapeControls(parts.filter((part, index) => index === 0 || part !== '').join(' '));
}
