# dp_install(): what `cmake --install` and cpack put where. Paths are GNUInstallDirs'; what has paths in it is written at
# install time (packaging/install.cmake.in), so that --prefix holds for it too.
#
# Manual pages and completions are printed by the program that was just built, so they can't tell of another one.

# dp_installed_text(<file> <command>...): packaging/<file> in the build folder is what the command prints; gzip'ed where
# the file is called *.gz, without a time in it.
function(dp_installed_text file)
  set(made "${PROJECT_BINARY_DIR}/packaging/${file}")
  if(file MATCHES "\\.gz$")
    set(pack | gzip -9n)
  endif()
  add_custom_command(
    OUTPUT "${made}"
    COMMAND ${ARGN} ${pack} > "${made}"
    DEPENDS davenport
    COMMENT "Writing packaging/${file}")
  set_property(GLOBAL APPEND PROPERTY DP_INSTALLED_TEXTS "${made}")
endfunction()

# The licences of what is compiled in are read where that comes from.
function(dp_write_copyright)
  set(licence "${PROJECT_SOURCE_DIR}/web/node_modules/uplot/LICENSE")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${licence}")
  file(READ "${licence}" text)
  if(NOT text MATCHES "Copyright \\(c\\) ([^\n]+)\n+(Permission is hereby granted.*)")
    message(FATAL_ERROR "${licence} is not the MIT licence any more: look at packaging/debian/copyright.in")
  endif()
  set(uplot_copyright "${CMAKE_MATCH_1}")
  string(STRIP "${CMAKE_MATCH_2}" expat)
  string(REPLACE "\n\n" "\n.\n" expat "${expat}")
  string(REPLACE "\n" "\n " expat " ${expat}")
  configure_file("${PROJECT_SOURCE_DIR}/packaging/debian/copyright.in" "${PROJECT_BINARY_DIR}/packaging/copyright" @ONLY)
endfunction()

function(dp_install)
  if(NOT TARGET davenport OR DAVENPORT_SANITIZE OR DAVENPORT_COVERAGE OR DAVENPORT_FUZZ)
    return()
  endif()
  file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/packaging")
  dp_write_copyright()
  dp_installed_text(davenport.1.gz davenport help --man)
  dp_installed_text(davenport.json.5.gz davenport help config --man)
  dp_installed_text(davenport.schema.json davenport schema)
  dp_installed_text(davenport davenport completion bash)
  dp_installed_text(_davenport davenport completion zsh)
  dp_installed_text(changelog.gz cat "${PROJECT_SOURCE_DIR}/packaging/debian/changelog")
  get_property(texts GLOBAL PROPERTY DP_INSTALLED_TEXTS)
  add_custom_target(davenport_texts ALL DEPENDS ${texts})

  if(CMAKE_OBJCOPY AND CMAKE_BUILD_TYPE STREQUAL "Release")
    # Which compilers had a hand in it: nothing that runs reads that, and lintian asks what it is for.
    add_custom_command(TARGET davenport POST_BUILD COMMAND "${CMAKE_OBJCOPY}" -R .comment "$<TARGET_FILE:davenport>")
  endif()

  set(made "${PROJECT_BINARY_DIR}/packaging")
  set(share "${CMAKE_INSTALL_DATADIR}")
  install(TARGETS davenport RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  install(FILES "${made}/davenport.1.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
  install(FILES "${made}/davenport.json.5.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man5")
  install(FILES "${made}/davenport" DESTINATION "${share}/bash-completion/completions")
  install(FILES "${made}/_davenport" DESTINATION "${share}/zsh/vendor-completions")
  install(FILES "${made}/davenport.schema.json" DESTINATION "${share}/davenport")
  install(FILES "${made}/changelog.gz" "${made}/copyright" README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
  install(DIRECTORY docs/ DESTINATION "${CMAKE_INSTALL_DOCDIR}/docs")
  install(DIRECTORY conf/ DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples"
    PATTERN davenport.schema.json EXCLUDE PATTERN systemd EXCLUDE)
  install(FILES packaging/davenport.sysusers DESTINATION lib/sysusers.d RENAME davenport.conf)
  install(FILES packaging/debian/davenport.lintian-overrides DESTINATION "${share}/lintian/overrides" RENAME davenport)
  configure_file(packaging/install.cmake.in "${made}/install.cmake" @ONLY)
  install(SCRIPT "${made}/install.cmake")
endfunction()
