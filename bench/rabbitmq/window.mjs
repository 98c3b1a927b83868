/** How many messages are left unconfirmed at most. */
export const WINDOW = 1000;

/** Sends `count` messages, up to WINDOW of them under way at once. Rejects with the first error. */
export async function sendInWindow(count, send) {
  let underWay = 0;
  let failure;
  let wake = () => {};
  const settled = () => {
    underWay--;
    wake();
  };
  const failed = (error) => {
    failure ??= error;
    settled();
  };
  /** @returns {Promise<void>} */
  const oneSettled = () =>
    new Promise((resolve) => {
      wake = resolve;
    });
  for (let i = 0; i < count && failure === undefined; i++) {
    underWay++;
    send().then(settled, failed);
    if (underWay >= WINDOW) await oneSettled();
  }
  while (underWay > 0) await oneSettled();
  if (failure !== undefined) throw failure;
}

/** How many deliveries a consumer holds unacknowledged at most. */
export const PREFETCH = 256;

/** Acknowledges now, or when a handler that takes its time is done. */
export function acknowledgeAfter(handled, acknowledge) {
  if (handled === undefined) acknowledge();
  else handled.then(acknowledge);
}
