/** The base URL of an API: what it may be, and how it is refused. */

/** What is wrong with a base URL, in words that repeat none of it: it may hold a password. */
const faultOf = (text: string): string | undefined => {
  if (!URL.canParse(text)) {
    return /^[\w\s./-]{0,16}$/.test(text) ? JSON.stringify(text) : "a text that is no URL"
  }
  const { password, protocol, username } = new URL(text)
  if (!/^https?:$/.test(protocol)) {
    // What stands before the colon of any other text may be the name of a user.
    return /^(file|s?ftp|wss?):$/.test(protocol)
      ? `one that begins with "${protocol}"`
      : "one of another scheme"
  }
  if (username !== "" || password !== "" || /^[^/?#]*[/\\]*[^/\\?#]*@/.test(text)) {
    return "one with user info"
  }
  if (/\?/.test(text.replace(/#.*$/s, ""))) return "one with a query"
  return text.includes("#") ? "one with a fragment" : undefined
}

export const checkedBaseUrl = (text: string): string => {
  const fault = faultOf(text)
  if (fault === undefined) return text
  throw new RangeError(
    `baseUrl should be an absolute http or https URL without user info, query and fragment, ` +
      `got ${fault}`
  )
}
