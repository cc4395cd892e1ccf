/** Makes a value when it is first asked for, such as a schema that most programs never use. */
export const lazily = <A>(make: () => A): () => A => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}
