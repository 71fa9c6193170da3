"""The benchmark that would make a good profile: loads chosen, sized and written as commands of a tool."""
