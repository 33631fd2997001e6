# dp_own_sources(<target>): what holds for our own sources and for nobody else's: the warnings, and the
# force-included header that bans the libc calls we never want.

function(dp_own_sources target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wcast-qual -Wundef -Wvla -Wformat=2 -Wswitch-enum
    $<$<BOOL:${DAVENPORT_WERROR}>:-Werror>
    "SHELL:-include ${PROJECT_SOURCE_DIR}/include/davenport/base/banned.h")
  target_include_directories(${target}
    PUBLIC "${PROJECT_SOURCE_DIR}/include" "${PROJECT_BINARY_DIR}/generated"
    PRIVATE "${PROJECT_SOURCE_DIR}/src")
endfunction()
