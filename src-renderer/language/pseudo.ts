const PLAIN = "aeiouncszyAEIOUNCSZY";
const MARKED = "áéíóúñçšžýÁÉÍÓÚÑÇŠŽÝ";
/** Every other vowel twice: about a third longer, as other languages are. */
const VOWEL = /[aeiouAEIOU]/;

/**
 * English as a foreign language: each word has a letter with a mark, and all of it is
 * longer. `<0>` of a sentence with elements stays. What looks plain in it was never a message.
 */
export function pseudoMessage(text: string): string {
  return text
    .split(/(<\/?\d+\/?>)/)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll(/[A-Za-z]+/g, pseudoWord)))
    .join("");
}

function pseudoWord(word: string): string {
  const marked = [...word].map((letter, index) => {
    const at = PLAIN.indexOf(letter);
    const other = at < 0 ? letter : (MARKED[at] ?? letter);
    return VOWEL.test(letter) && index % 2 === 1 ? other + other : other;
  });
  return marked.join("") === word ? `${word}ó` : marked.join("");
}
