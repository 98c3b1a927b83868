/** `1 message`, `2 messages`. `shown`: the number as it is to be written. */
export function count(value: number, noun: string, shown = String(value)): string {
  return `${shown} ${noun}${value === 1 ? '' : 's'}`;
}
