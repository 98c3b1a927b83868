export const handle = () => {};
