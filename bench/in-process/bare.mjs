import { Arrivals } from './check.mjs';

const DONE = Promise.resolve();

/** The least that a program pays that awaits each put and each take, whatever queue is between them. */
export async function twoAwaits({ count }) {
  const arrivals = new Arrivals();
  for (let i = 0; i < count; i++) {
    await DONE;
    await DONE;
    arrivals.add(i);
  }
  arrivals.check(count);
}

/** As `twoAwaits`, in two tasks that go on side by side, as a producer and a consumer do. */
export async function twoTasks({ count }) {
  const arrivals = new Arrivals();
  await Promise.all([
    (async () => {
      for (let i = 0; i < count; i++) await DONE;
    })(),
    (async () => {
      for (let i = 0; i < count; i++) {
        await DONE;
        arrivals.add(i);
      }
    })(),
  ]);
  arrivals.check(count);
}

class Ring {
  #slots = new Array(1024).fill(undefined);
  #head = 0;
  #length = 0;

  push(item) {
    if (this.#length === 1024) return false;
    this.#slots[(this.#head + this.#length++) & 1023] = item;
    return true;
  }

  shift() {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & 1023;
    this.#length--;
    return item;
  }
}

/** A ring of 1024 slots between two tasks that await a turn of each other only where it is full or empty. */
export async function ring({ count }) {
  const arrivals = new Arrivals();
  const between = new Ring();
  await Promise.all([
    (async () => {
      for (let i = 0; i < count; i++) while (!between.push(i)) await DONE;
    })(),
    (async () => {
      while (arrivals.count < count) {
        const item = between.shift();
        if (item === undefined) await DONE;
        else arrivals.add(item);
      }
    })(),
  ]);
  arrivals.check(count);
}
