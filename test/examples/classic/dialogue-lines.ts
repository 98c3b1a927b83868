export const DIALOGUE = [
  'miller: The race is full again.',
  'brook: How fast do you take me?',
  'miller: As fast as the wheel turns.',
  'brook: And if I come faster?',
  'miller: Then you wait. It is only water.',
  'brook: I can wait.',
];
