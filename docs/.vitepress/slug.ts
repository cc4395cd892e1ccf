/**
 * The anchor of a heading, as the hosting of the repository makes it: so a link to a heading works
 * there and on the site.
 */
export const slug = (heading: string): string =>
  heading.trim().toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-")
