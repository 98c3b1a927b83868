/**
 * A short sequence that still fails, found by leaving operations out: halves first, then single ones. A failure that
 * depends on luck is given `tries` chances each time. Stops when `isOver` says so.
 */
export async function shrink<Operation>(
  operations: readonly Operation[],
  fails: (operations: readonly Operation[]) => Promise<boolean>,
  { tries, isOver }: { readonly tries: number; readonly isOver: () => boolean },
): Promise<readonly Operation[]> {
  const stillFails = async (candidate: readonly Operation[]) => {
    for (let count = 0; count < tries && !isOver(); count++) if (await fails(candidate)) return true;
    return false;
  };
  let shortest = operations;
  let size = Math.ceil(shortest.length / 2);
  while (size >= 1 && !isOver()) {
    let wasShortened = false;
    for (let from = 0; from < shortest.length && !isOver(); ) {
      const candidate = shortest.toSpliced(from, size);
      if (candidate.length < shortest.length && (await stillFails(candidate))) {
        shortest = candidate;
        wasShortened = true;
      } else {
        from += size;
      }
    }
    if (size === 1 && !wasShortened) break;
    if (size > 1) size = Math.ceil(size / 2);
  }
  return shortest;
}
