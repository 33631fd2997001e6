# dp_enable_sanitizers(<list>): instrument everything compiled from here on, third-party sources included.
# The list is what the compiler's -fsanitize takes ("address,undefined", "thread") or empty. Coverage and
# fuzzing are instrumentation too, so DAVENPORT_COVERAGE and DAVENPORT_FUZZ are served here.

function(dp_enable_sanitizers sanitizers)
  if(sanitizers)
    # A sanitizer's extra branches make gcc guess wrongly about initialization: still a warning, no error.
    add_compile_options(
      -fsanitize=${sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all
      $<$<C_COMPILER_ID:GNU>:-Wno-error=maybe-uninitialized>)
    add_link_options(-fsanitize=${sanitizers})
  endif()
  if(DAVENPORT_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
      message(FATAL_ERROR "DAVENPORT_FUZZ needs clang: use the preset \"fuzz\"")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
  endif()
  if(DAVENPORT_COVERAGE)
    add_compile_options(
      --coverage -fprofile-update=atomic $<$<C_COMPILER_ID:GNU>:-fprofile-abs-path>)
    add_link_options(--coverage)
  endif()
endfunction()
