/** A module of an example, whose functions a test calls. The examples are plain JavaScript: the test says what it expects. */
export async function load<Module>(path: string): Promise<Module> {
  return import(new URL(`../../examples/${path}`, import.meta.url).href);
}
