const WIDTH = 30;
const MIB = 1024 * 1024;

/** Percent and rate: redrawn in place on a terminal, one line at the end anywhere else. */
export function progressBar(label, output = process.stdout) {
  const begin = performance.now();
  let first;
  let drawn = 0;
  return (bytes, size) => {
    first ??= bytes;
    const now = performance.now();
    const done = bytes >= size;
    if (!done && (!output.isTTY || now - drawn < 100)) return;
    drawn = now;
    const part = size === 0 ? 1 : bytes / size;
    const rate = (bytes - first) / MIB / Math.max((now - begin) / 1000, 0.001);
    const bar = '█'.repeat(Math.round(part * WIDTH)).padEnd(WIDTH, '░');
    const line = `${label} ${bar} ${(part * 100).toFixed(0).padStart(3)} % ${rate.toFixed(1)} MiB/s`;
    output.write(output.isTTY ? `\r${line}${done ? '\n' : ''}` : `${line}\n`);
  };
}
